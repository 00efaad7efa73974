"""What the rows of run.py say: tables of medians, ratios with their intervals, and shares of the machine's limit."""
import math
import platform
import statistics
from pathlib import Path

import numpy as np

RESAMPLES = 4000
PAGE = """# Benchmarks

mlc and what else runs such models on a CPU: same weights, same inputs, same number of threads, in f32 but for SmolLM2. All runtimes
are loaded at once and take turns; a ratio is taken within a round, so what slows the whole machine drops out.

```text
$ examples/fetch minilm smollm2
$ cd tests/peers && python3 -m venv venv && venv/bin/pip install -r requirements.txt
$ venv/bin/python models.py && venv/bin/python convert.py
$ cargo build --release -p mlc -p mlc-tests
$ venv/bin/python run.py --page
```

{machine} {note}

How to read the tables: the time of a call is a median over {rounds} rounds. `1.20 [1.15, 1.26]` under a peer says that it
takes 1.20 times as long as mlc, with the 95 % interval of a bootstrap over rounds; below 1 the peer is faster. *Best peer* is
the one with the least median. *Limit* is the time that a call takes at least: its arithmetic at the rate of fused
multiply-adds that this machine reached in the same round, or its bytes at the bandwidth of a working set of that size,
whichever is more; depthwise convolutions count by their bytes. A share above 100 % means that the limit was measured low.

{tables}

SmolLM2 is one file of 4-bit weights for both; llama.cpp rounds activations to 8 bits and is off the float64 reference by 2 % of
the largest score, mlc computes in f32 with an f16 cache and is off by 0.05 %. GPT-2 in mlc keeps keys and values as state and appends to them; the ONNX graph takes 256 of them and returns 257, which is
what its runtimes copy: 7 % of the bytes that a call moves.

{refusals}
Versions: {versions}.
"""
STARTS = """## Cold start and memory

From the start of a process to the end of its first call, its files in the page cache; the ratios are as above. Runtimes in
Python begin with Python itself and numpy. Memory is the most that the process held, its program and mapped weights included."""


def interval(samples, statistic=statistics.median):
    """A statistic and the 95 % interval of its bootstrap."""
    samples = np.asarray(samples)
    drawn = np.random.default_rng(1).integers(0, len(samples), (RESAMPLES, len(samples)))
    low, high = np.percentile([statistic(samples[picks]) for picks in drawn], [2.5, 97.5])
    return statistic(samples), low, high


def shown(found):
    return "{:.2f} [{:.2f}, {:.2f}]".format(*found)


def milliseconds(seconds):
    return f"{seconds * 1e3:.3g}" if seconds < 0.1 else f"{seconds * 1e3:.0f}"


def ratios(row, runtime):
    """How many times longer than mlc a runtime took, by round."""
    return [theirs / ours for theirs, ours in zip(row["seconds"][runtime], row["seconds"]["mlc"], strict=True)]


def best_peer(row):
    """The peer of the least median; `None` where mlc or every peer is missing."""
    times = {runtime: statistics.median(times) for runtime, times in row["seconds"].items() if runtime != "mlc"}
    return min(times, key=times.get) if times and "mlc" in row["seconds"] else None


def tables(rows):
    """For each number of threads a table of what computes in f32, and one of SmolLM2, whose peer rounds activations."""
    parts = []
    for threads in sorted({row["threads"] for row in rows}):
        own = [row for row in rows if row["threads"] == threads]
        parts.append(f"## {threads} thread{'s' * (threads > 1)}")
        for small in (False, True):
            shown_rows = [row for row in own if row["workload"].startswith("smollm2") == small]
            parts += [table(shown_rows), mean(shown_rows)] if shown_rows else []
    return "\n\n".join(filter(None, parts))


def table(rows):
    peers = [peer for peer in dict.fromkeys(peer for row in rows for peer in row["seconds"]) if peer != "mlc"]
    header = ["", "mlc, ms", *peers, "best peer", "limit, ms", "mlc, % of limit", "best peer, %"]
    lines = [header, ["---"] * len(header)]
    for row in rows:
        best, limit = best_peer(row), statistics.median(row["floor"])
        share = lambda runtime: 100 * statistics.median(f / t for f, t in zip(row["floor"], row["seconds"][runtime]))
        if "mlc" not in row["seconds"]:
            lines.append([f"`{row['workload']}`", "refused", *[""] * (len(header) - 2)])
            continue
        cells = [shown(interval(ratios(row, peer))) if peer in row["seconds"] else "" for peer in peers]
        told = [shown(interval(ratios(row, best))), milliseconds(limit)] if best else ["", milliseconds(limit)]
        shares = [f"{share('mlc'):.0f}", f"{share(best):.0f}" if best else ""]
        lines.append([f"`{row['workload']}`", milliseconds(statistics.median(row["seconds"]["mlc"])), *cells, *told, *shares])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def starts(rows):
    """Cold starts beside mlc's, and the most memory that each process held, in MiB."""
    rows = [row for row in rows if "cold" in row]
    if not rows:
        return ""
    peers = [peer for peer in dict.fromkeys(peer for row in rows for peer in row["cold"]) if peer != "mlc"]
    header = ["", "threads", "mlc, ms", *peers, "weights, MiB", "mlc, MiB", *(f"{peer}, MiB" for peer in peers)]
    lines = [header, ["---"] * len(header)]
    mebibytes = lambda count: f"{count / 2**20:.0f}"
    for row in rows:
        own, ratio = row["cold"]["mlc"], lambda peer: [
            theirs / ours for theirs, ours in zip(row["cold"][peer]["seconds"], row["cold"]["mlc"]["seconds"], strict=True)]
        cells = [shown(interval(ratio(peer))) if peer in row["cold"] else "" for peer in peers]
        held = [mebibytes(row["cold"][peer]["peak"]) if peer in row["cold"] else "" for peer in peers]
        lines.append([f"`{row['workload']}`", str(row["threads"]), milliseconds(statistics.median(own["seconds"])), *cells,
                      mebibytes(row["weight_bytes"]), mebibytes(own["peak"]), *held])
    return STARTS + "\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines)


def mean(rows):
    """The geometric mean over workloads of the ratio to the best peer, resampled over rounds."""
    logs = [np.log(ratios(row, best_peer(row))) for row in rows if best_peer(row)]
    if not logs:
        return ""
    rng, draws = np.random.default_rng(1), []
    for _ in range(RESAMPLES):
        draws.append(statistics.fmean(np.median(log[rng.integers(0, len(log), len(log))]) for log in logs))
    middle = statistics.fmean(np.median(log) for log in logs)
    found = shown([math.exp(value) for value in (middle, *np.percentile(draws, [2.5, 97.5]))])
    return f"Geometric mean over {len(logs)} workloads against the best peer of each: {found}."


def profiles(rows, count):
    """The kernels of the rows that are furthest behind the best peer."""
    known = [row for row in rows if row.get("kernels") and best_peer(row)]
    behind = sorted(known, key=lambda row: statistics.median(ratios(row, best_peer(row))))[:count]
    return "\n\n".join(profile(row) for row in behind)


def profile(row):
    lines = [f"{row['workload']}, {row['threads']} threads", f"{'time':>7} {'calls':>6} {'µs a call':>10} {'GFLOP/s':>9} {'GB/s':>8}  path       kernel"]
    everything = sum(kernel["nanoseconds"] for kernel in row["kernels"])
    for kernel in sorted(row["kernels"], key=lambda kernel: -kernel["nanoseconds"])[:16]:
        nanoseconds = max(kernel["nanoseconds"], 1)
        lines.append(f"{100 * nanoseconds / everything:>6.1f}% {kernel['calls']:>6} {nanoseconds / kernel['calls'] / 1e3:>10.2f} "
                     f"{kernel['flops'] / nanoseconds:>9.2f} {kernel['bytes'] / nanoseconds:>8.2f}  {kernel['path']:<9}  {kernel['kernel']}")
    return "\n".join(lines)


def machine():
    """This processor, in the system's words."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    field = lambda name: next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith(name)), "?")
    wide = "AVX-512" if "avx512f" in info else "AVX2" if "avx2" in info else "no AVX2"
    return (f"Measured on {field('model name')} (family {field('cpu family')}, model {field('model')}, {wide}), "
            f"{info.count('processor	')} cores, {platform.system()} {platform.release().split('-')[0]}.")


def page(rows, note):
    """docs/src/benchmarks.md; `note` says what a reader must know of this run."""
    refused = {f"- {peer} on `{row['workload']}`: {why}" for row in rows for peer, why in row["refused"].items()}
    refusals = "Not measured:\n\n" + "\n".join(sorted(refused)) + "\n\n" if refused else ""
    versions = {runtime: started.get("version") for row in rows for runtime, started in row["started"].items()}
    named = ", ".join(f"{runtime} {version}" for runtime, version in versions.items() if version)
    rounds = min(len(row["floor"]) for row in rows)
    return PAGE.format(machine=machine(), note=note, rounds=rounds, tables="\n\n".join(filter(None, [tables(rows), starts(rows)])), refusals=refusals, versions=named)
