"""Times mlc and its peers on the same models, inputs and threads, taking turns, and writes the tables.

    python run.py [WORKLOAD…] [--threads 1,2] [--peers onnxruntime,openvino,…] [--rounds 9] [--cold 7] [--profile 3] [--page]

Every runtime stays loaded in a process of its own. In each round each of them, in a new order, makes a few calls that do not
count and then some that do; the machine's limits are measured in the same rounds. A ratio is taken within its round, and its
interval is a bootstrap over rounds: what slows all of them alike drops out. With --cold each is also started so many times, in
turns: from the start of its process to the end of its first call, with all files in the page cache, and the most memory held.
"""
import argparse
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import report
from worker import error

HERE = Path(__file__).resolve().parent
MADE, ROOT = HERE / "made", HERE.parent.parent
PEERS = ["onnxruntime", "openvino", "litert", "torch", "iree", "rten", "tract", "llama.cpp"]
SLICE = 0.12  # seconds that a runtime has the machine in a round, or one call where that takes longer
BATCHES = 9
# How far an answer may be off the reference, as a share of its largest value.
TOLERANCE = 1e-4
# SmolLM2 keeps its cache in f16, and llama.cpp multiplies activations that it rounds to 8 bits.
TOLERANCE_OF_LLAMA = {"mlc": 2e-3, "llama.cpp": 0.1}


class Refused(Exception):
    """A runtime that cannot run a workload, in its own words."""


def undisturbed(cpus):
    """On these processors alone, and ahead of all ordinary work where the system allows it: threads that are woken then go to
    different processors, as they would on a machine with nothing else to do."""
    os.sched_setaffinity(0, cpus)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


class Resident:
    """A runtime in a process of its own."""

    def __init__(self, command, threads, first=None):
        cpus = list(range(threads))
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "RTEN_NUM_THREADS": str(threads), "OMP_PROC_BIND": "true"}
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=environment, cwd=HERE,
                                        preexec_fn=lambda: undisturbed(cpus))
        if first is not None:
            self.say(first)

    def say(self, value):
        self.process.stdin.write(value if isinstance(value, str) else json.dumps(value) + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            lines = self.process.stderr.read().strip().splitlines() or [f"exit status {self.process.returncode}"]
            telling = [text for text in lines if "rror" in text or "panicked" in text]
            raise Refused((telling or lines)[-1][:200])
        return json.loads(line)

    def ask(self, value):
        try:
            self.say(value)
        except BrokenPipeError:
            pass
        return self.hear()

    def peak(self):
        """Bytes that the process has held at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:"))

    def close(self):
        self.process.kill()
        self.process.wait()


def build_mlc(name, ports, threads, mlc):
    """Builds the twin with the workload's dims; gives what tells `resident` to run it."""
    artifact, folder = MADE / f"{name}.mlc", MADE / "io" / name
    dims = [word for dim, value in ports["dims"].items() for word in ("-D", f"{dim}={value}")]
    if "twin" not in ports:
        model, dims = [MADE / f"{name}.onnx"], []
    else:
        model = [HERE / f"{ports['twin']}.mdl", "--weights", MADE / f"{ports['weights']}.safetensors"]
    if "call" in ports:
        model = [ROOT / "examples" / f"{ports['twin']}.mdl"]
    build = [mlc / "mlc", "build", *model, *dims, "-o", artifact]
    built = subprocess.run(list(map(str, build)), capture_output=True, text=True)
    if built.returncode:
        raise Refused(built.stderr.strip().splitlines()[0])
    files = lambda keys: {key: str(folder / f"in_{key}.npy") for key in keys}
    job = dict(model=str(artifact), threads=threads, outputs=str(MADE / f"{name}.out.npz"), call=dict(inputs=files(ports["inputs"])))
    if ports.get("twin") == "gpt2":
        caches = {key: str(folder / f"twin_{key}.npy") for key in ("keys", "values")}
        job["before"] = [dict(entry="remember", inputs=caches)]
        job["call"] = dict(entry="step", inputs=files(["input_ids"]), sizes=dict(past=256))
    if "call" in ports:
        past = ports["call"]["past"]
        job["call"]["sizes"] = dict(past=past)
        job["before"] = [dict(inputs=dict(tokens=str(folder / "before_tokens.npy")), sizes=dict(past=0))] if past else []
    return job


def start_mlc(name, ports, threads, mlc):
    """Keeps the twin loaded, and says how far its outputs are off the reference."""
    folder = MADE / "io" / name
    resident = Resident([mlc / "resident"], threads, build_mlc(name, ports, threads, mlc))
    started = resident.hear()
    found = np.load(MADE / f"{name}.out.npz")
    wanted = {key: np.load(folder / f"out_{key}.npy") for key in ports["outputs"] if key in found}
    started["error"] = error([found[key] for key in wanted], wanted.values())
    return resident, started


def launch_peer(peer, name, threads):
    if peer in ("rten", "tract"):
        program = HERE / "rust/target/release" / f"peer-{peer}"
        if not program.exists():
            raise Refused("not built: cargo build --release in tests/peers/rust")
        command = [program, name, threads]
    else:
        command = [sys.executable, HERE / "worker.py", peer, name, threads]
    return Resident(command, threads)


def start_peer(peer, name, threads):
    resident = launch_peer(peer, name, threads)
    return resident, resident.hear()


def cold(name, ports, threads, options, runtimes):
    """Seconds from the start of each runtime's process to its first answer, in turns, and the most memory that one held."""
    job = build_mlc(name, ports, threads, options.mlc)
    found = {runtime: dict(seconds=[], peak=0) for runtime in runtimes}
    for _ in range(options.cold):
        for runtime in random.sample(runtimes, len(runtimes)):
            begun = time.perf_counter()
            with contextlib.closing(Resident([options.mlc / "resident"], threads, job) if runtime == "mlc"
                                    else launch_peer(runtime, name, threads)) as resident:
                resident.hear()
                found[runtime]["seconds"].append(time.perf_counter() - begun)
                found[runtime]["peak"] = max(found[runtime]["peak"], resident.peak())
    return found


def calls_that_fit(resident):
    """How many calls make a batch, and how many batches a turn."""
    once = min(resident.ask(dict(calls=1, batches=3)))
    calls = max(1, round(0.001 / once))
    batches = max(1, min(BATCHES, round(SLICE / (calls * once))))
    return dict(calls=max(calls, round(SLICE / BATCHES / once)), batches=batches)


def turn(resident, plan):
    """Seconds a call: the median of the batches of a turn, after one that does not count."""
    resident.ask(dict(plan, batches=1))
    return statistics.median(resident.ask(plan)) / plan["calls"]


def floor(ports, fma, read):
    """The least seconds of a call: its arithmetic at the machine's rate, or its bytes read once, whichever is more."""
    arithmetic = ports["flops"] / fma
    bytes_of_depthwise = ports["depthwise_bytes"] / read[1] if ports["depthwise_bytes"] else 0.0
    return max(arithmetic + bytes_of_depthwise, (ports["weight_bytes"] + ports["io_bytes"]) / read[0])


def measure(name, ports, threads, options):
    """One workload with one number of threads: rounds of seconds, by runtime."""
    residents, row = {}, dict(workload=name, threads=threads, seconds={}, started={}, refused={}, floor=[])
    with contextlib.ExitStack() as stack:
        limits = Resident([MADE / "limits", threads], threads)
        stack.callback(limits.close)
        able = [peer for peer in options.peers if (peer == "llama.cpp") == ("call" in ports)]
        for runtime in ["mlc", *able]:
            try:
                start = (lambda: start_mlc(name, ports, threads, options.mlc)) if runtime == "mlc" else (
                    lambda: start_peer(runtime, name, threads))
                resident, row["started"][runtime] = start()
                stack.callback(resident.close)
                allowed = TOLERANCE_OF_LLAMA[runtime] if "call" in ports else ports.get("tolerance", TOLERANCE)
                if row["started"][runtime]["error"] > allowed:
                    raise Refused(f"its answer is off by {row['started'][runtime]['error']:.1e} of the largest value")
                residents[runtime] = resident, calls_that_fit(resident)
                row["seconds"][runtime] = []
            except Refused as refusal:
                row["refused"][runtime] = str(refusal)
                print(f"  {runtime}: {refusal}", file=sys.stderr)
        order = list(residents)
        for _ in range(options.rounds):
            random.shuffle(order)
            for runtime in order:
                row["seconds"][runtime].append(turn(*residents[runtime]))
                time.sleep(0.01)
            read = [limits.ask(f"read {size}\n") for size in (ports["weight_bytes"] + ports["io_bytes"], 4 << 20)]
            row["floor"].append(floor(ports, limits.ask("fma\n"), read))
        if options.profile and "mlc" in residents:
            once = statistics.median(row["seconds"]["mlc"])
            row["kernels"] = residents["mlc"][0].ask(dict(profile=max(3, round(0.3 / once))))
    if options.cold and "mlc" in residents:
        row["cold"], row["weight_bytes"] = cold(name, ports, threads, options, list(residents)), ports["weight_bytes"]
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD")
    names = lambda text: text.split(",")
    parser.add_argument("--threads", type=lambda text: list(map(int, text.split(","))), default=[1, 2])
    parser.add_argument("--peers", type=names, default=PEERS)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cold", type=int, default=0, metavar="N", help="also start each runtime N times")
    parser.add_argument("--profile", type=int, default=0, metavar="N", help="the kernels of the N rows furthest behind")
    parser.add_argument("--mlc", type=Path, default=ROOT / "target/release", help="the folder of mlc and resident")
    parser.add_argument("--save", type=Path, default=MADE / "rows.json")
    parser.add_argument("--page", action="store_true", help="write docs/src/benchmarks.md")
    parser.add_argument("--note", default="", metavar="TEXT", help="what the page says of this run")
    options = parser.parse_args()
    if options.rounds < 7:
        parser.error("an interval needs 7 rounds or more")
    if 0 < options.cold < 7:
        parser.error("an interval needs 7 starts or more")
    compile_limits = ["cc", "-O3", "-march=native", "-fopenmp", HERE / "limits.c", "-o", MADE / "limits"]
    subprocess.run(list(map(str, compile_limits)), check=True)
    undisturbed(range(os.cpu_count()))
    manifest = json.loads((MADE / "manifest.json").read_text())
    workloads = options.workloads or [name for name in manifest if "90" not in name and not name.endswith(("int8", "dyn8"))]
    rows = []
    for name in workloads:
        for threads in options.threads:
            print(f"{name}, {threads} threads", file=sys.stderr)
            rows.append(measure(name, manifest[name], threads, options))
            options.save.write_text(json.dumps(rows))
    print(report.tables(rows))
    print(report.starts(rows))
    print(report.profiles(rows, options.profile))
    if options.page:
        (ROOT / "docs/src/benchmarks.md").write_text(report.page(rows, options.note))


if __name__ == "__main__":
    main()
