"""Writes what two runtimes read instead of ONNX into `made/`: `.tflite` by litert-torch, `.vmfb` by IREE's compiler.

    python convert.py [NAME…]

Each workload in a process of its own: a converter that fails or runs out of stack leaves the others alone.
"""
import json
import subprocess
import sys
from pathlib import Path

MADE = Path(__file__).resolve().parent / "made"


def tflite(name):
    import litert_torch
    import numpy as np
    import torch

    import torch_models

    ports = json.loads((MADE / "manifest.json").read_text())[name]
    feeds = [torch.from_numpy(np.load(MADE / "io" / name / f"in_{key}.npy")) for key in ports["inputs"]]
    litert_torch.convert(torch_models.build(name), tuple(feeds)).export(str(MADE / f"{name}.tflite"))


def vmfb(name):
    mlir = MADE / f"{name}.mlir"
    tool = lambda command: [str(Path(sys.executable).with_name(command))]
    subprocess.run(tool("iree-import-onnx") + [MADE / f"{name}.onnx", "-o", mlir], check=True)
    options = ["--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu",
               "--iree-llvmcpu-target-cpu=host", "--iree-opt-level=O3", "--iree-opt-data-tiling",
               "--iree-llvmcpu-stack-allocation-limit=262144"]
    subprocess.run(tool("iree-compile") + [mlir, *options, "-o", MADE / f"{name}.vmfb"], check=True)
    mlir.unlink()


def main():
    manifest = json.loads((MADE / "manifest.json").read_text())
    failed = 0
    for name in sys.argv[1:] or manifest:
        for kind in ("tflite", "vmfb"):
            if not (MADE / f"{name}.{kind}").exists():
                code = f"import convert; convert.{kind}({name!r})"
                outcome = subprocess.run([sys.executable, "-c", code], cwd=MADE.parent, capture_output=True, text=True)
                failed += outcome.returncode != 0
                last = (outcome.stderr.strip().splitlines() or ["no message"])[-1]
                print(f"{name}.{kind}", "ok" if outcome.returncode == 0 else f"FAILED: {last[:200]}", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
