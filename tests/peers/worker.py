"""One runtime with one workload, resident: `python worker.py RUNTIME WORKLOAD THREADS` says on its first line how it loaded,
then answers `{"calls": n, "batches": k}` with the seconds of k batches of n calls, as tests/src/bin/resident.rs does."""
import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

MADE = Path(__file__).resolve().parent / "made"


def onnxruntime(name, feeds, outputs, threads):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    session = ort.InferenceSession(MADE / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for key, array in feeds.items():
        binding.bind_cpu_input(key, array)
    for key in outputs:
        binding.bind_output(key, "cpu")
    return lambda: session.run_with_iobinding(binding), binding.copy_outputs_to_cpu


def openvino(name, feeds, outputs, threads):
    import openvino as ov

    options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
               "INFERENCE_PRECISION_HINT": "f32"}
    request = ov.Core().compile_model(MADE / f"{name}.onnx", "CPU", options).create_infer_request()
    for key, array in feeds.items():
        request.set_tensor(key, ov.Tensor(array, shared_memory=True))
    return request.infer, lambda: [request.get_tensor(key).data.copy() for key in outputs]


def torch(name, feeds, outputs, threads):
    import torch

    import torch_models

    torch.set_num_threads(threads)
    net, arguments, last = torch_models.build(name), [torch.from_numpy(array) for array in feeds.values()], []

    def run():
        with torch.inference_mode():
            last[:] = [net(*arguments)]

    return run, lambda: [y.numpy() for y in (last[0] if isinstance(last[0], tuple) else last)]


def litert(name, feeds, outputs, threads):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(MADE / f"{name}.tflite"), num_threads=threads)
    interpreter.allocate_tensors()
    number = lambda text: int("".join(filter(str.isdigit, text.split(":")[0])) or 0)
    for port, array in zip(sorted(interpreter.get_input_details(), key=lambda d: number(d["name"])), feeds.values(), strict=True):
        interpreter.set_tensor(port["index"], array.astype(port["dtype"]))
    names = next(iter(interpreter.get_signature_list().values()))["outputs"]
    ports = interpreter.get_signature_runner().get_output_details()
    order = [ports[key]["index"] for key in sorted(names, key=number)]
    return interpreter.invoke, lambda: [interpreter.get_tensor(index) for index in order]


def iree(name, feeds, outputs, threads):
    import iree.runtime as rt

    if threads > 1:
        rt.flags.parse_flags(f"--task_topology_group_count={threads}")
    config = rt.Config("local-sync" if threads == 1 else "local-task")
    module = rt.VmModule.mmap(config.vm_instance, str(MADE / f"{name}.vmfb"))
    context = rt.SystemContext(config=config)
    context.add_vm_module(module)
    call = getattr(context.modules, module.name)[name]
    arguments, last = [rt.asdevicearray(config.device, array) for array in feeds.values()], []

    def run():
        last[:] = [call(*arguments)]

    return run, lambda: [y.to_host() for y in (last[0] if isinstance(last[0], (tuple, list)) else last)]


def llama(name, feeds, outputs, threads):
    from llama_cpp import Llama

    import smollm2

    net = Llama(str(smollm2.GGUF), n_ctx=512, n_batch=512, n_threads=threads, n_threads_batch=threads, verbose=False)
    past, tokens = np.load(MADE / "io" / name / "before_tokens.npy")[0].tolist(), feeds["tokens"][0].tolist()
    net.eval(past) if past else None

    def run():
        net.n_tokens = len(past)
        net.eval(tokens)

    return run, lambda: [np.ctypeslib.as_array(net._ctx.get_logits(), shape=(net.n_vocab(),))]


# The function that loads it, and the package whose version is shown.
RUNTIMES = {
    "onnxruntime": (onnxruntime, "onnxruntime"),
    "openvino": (openvino, "openvino"),
    "torch": (torch, "torch"),
    "litert": (litert, "ai-edge-litert"),
    "iree": (iree, "iree-base-runtime"),
    "llama.cpp": (llama, "llama-cpp-python"),
}


def error(found, wanted):
    """The largest |y - r| of each output as a share of its largest |r|; of these the largest."""
    share = lambda y, r: float(np.abs(np.asarray(y, np.float64).reshape(r.shape) - r).max() / np.abs(r).max())
    return max(share(y, r) for y, r in zip(found, wanted, strict=True))


def main():
    runtime, name, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
    os.dup2(2, 1)  # what a runtime prints is no answer
    say = lambda value: print(json.dumps(value), file=answers, flush=True)
    ports = json.loads((MADE / "manifest.json").read_text())[name]
    folder = MADE / "io" / name
    feeds = {key: np.load(folder / f"in_{key}.npy") for key in ports["inputs"]}
    load, package = RUNTIMES[runtime]
    begun = time.perf_counter()
    run, fetch = load(name, feeds, ports["outputs"], threads)
    loaded = time.perf_counter()
    run()
    first = time.perf_counter() - loaded
    apart = error(fetch(), [np.load(folder / f"out_{key}.npy") for key in ports["outputs"]])
    say(dict(load=loaded - begun, first=first, error=apart,
             version=importlib.metadata.version(package)))
    for line in sys.stdin:
        asked, seconds = json.loads(line), []
        for _ in range(asked["batches"]):
            begun = time.perf_counter()
            for _ in range(asked["calls"]):
                run()
            seconds.append(time.perf_counter() - begun)
        say(seconds)


if __name__ == "__main__":
    main()
