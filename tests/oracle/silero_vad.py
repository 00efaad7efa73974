"""Silero VAD's probabilities, frame by frame, by ONNX Runtime on the published graph.

The wheel's safetensors file and its ONNX exports hold different trainings of one network, so
the safetensors weights, which examples/silero_vad.mdl reads, are put into the published graph.

    python3 tests/oracle/silero_vad.py      (needs numpy, onnx, onnxruntime; `examples/fetch silero speech`)

Writes out/silero_vad.npz: `frame` f32 [n, 1, 512], the consecutive frames of one clip as
examples/silero_vad.mdl takes them one call at a time; `out` f32 [n, 1], the probability after
each. The network is also written out in numpy and must agree, so that the .mdl is known right.
"""

import wave

import numpy as np
import onnx
import onnxruntime

from paths import DATA, MODELS, OUT, need
from weights import safetensors

CLIP = "sense_and_sensibility_01_austen_64kb-0880.wav"


INITIALIZERS = {
    "model.stft.forward_basis_buffer": "stft_conv.weight",
    **{f"model.encoder.{i}.reparam_conv.{leaf}": f"conv{i + 1}.{leaf}"
       for i in range(4) for leaf in ("weight", "bias")},
    **{f"model.decoder.rnn.{leaf}": f"lstm_cell.{leaf}"
       for leaf in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")},
    **{f"model.decoder.decoder.2.{leaf}": f"final_conv.{leaf}" for leaf in ("weight", "bias")},
}


def published(path, weights):
    """The ONNX graph with every initializer replaced."""
    model = onnx.load(path)
    assert {i.name for i in model.graph.initializer} == set(INITIALIZERS)
    for initializer in model.graph.initializer:
        array = weights[INITIALIZERS[initializer.name]]
        assert list(array.shape) == list(initializer.dims), initializer.name
        initializer.CopyFrom(onnx.numpy_helper.from_array(array, initializer.name))
    return onnxruntime.InferenceSession(model.SerializeToString())


def frames(path):
    """A 16 kHz mono clip as f32 [n, 1, 512] in -1..1, zeros at the end."""
    with wave.open(str(path)) as clip:
        assert (clip.getframerate(), clip.getnchannels(), clip.getsampwidth()) == (16000, 1, 2)
        sound = np.frombuffer(clip.readframes(clip.getnframes()), "<i2").astype(np.float32) / 32768
    return np.pad(sound, (0, -len(sound) % 512)).reshape(-1, 1, 512)


def conv1d(x, w, b=None, stride=1, pad=0):
    """[c, t] with [o, c, k]."""
    x = np.pad(x, ((0, 0), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2], axis=1)[:, ::stride]
    y = np.einsum("ctk,ock->ot", windows, w)
    return y if b is None else y + b[:, None]


def step(w, frame, state):
    """One frame as the .mdl states it: (probability, next state)."""
    context, h, c = state
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    sound = np.pad(np.concatenate([context, frame]), (0, 64), mode="reflect")
    parts = conv1d(sound[None], w["stft_conv.weight"], stride=128)
    x = np.sqrt(parts[:129] ** 2 + parts[129:] ** 2)
    for name, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1)):
        x = np.maximum(conv1d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride, pad=1), 0)
    gates = w["lstm_cell.weight_ih"] @ x[:, 0] + w["lstm_cell.bias_ih"] \
        + w["lstm_cell.weight_hh"] @ h + w["lstm_cell.bias_hh"]
    i, f, g, o = np.split(gates, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    logit = w["final_conv.weight"][0, :, 0] @ np.maximum(h, 0) + w["final_conv.bias"][0]
    return sigmoid(logit), (frame[-64:], h, c)


def main():
    """Run both over the clip and write what ONNX Runtime says."""
    folder = MODELS / "silero_vad"
    weights = safetensors(need(folder / "silero_vad_16k.safetensors"))
    session = published(need(folder / "silero_vad_16k_op15.onnx"), weights)
    sound = frames(need(DATA / "speech" / CLIP))
    zeros = np.zeros(128, np.float32)
    context, state = np.zeros((1, 64), np.float32), np.zeros((2, 1, 128), np.float32)
    ours, out, worst = (zeros[:64], zeros, zeros), [], 0.0
    for frame in sound:
        probability, state = session.run(None, {
            "input": np.concatenate([context, frame], axis=1), "state": state, "sr": np.array(16000)})
        context = frame[:, -64:]
        mine, ours = step(weights, frame[0], ours)
        worst = max(worst, abs(mine - probability[0, 0]))
        out.append(probability[:, 0])
    assert worst < 1e-4, worst
    voiced = np.mean(np.stack(out) > 0.5)
    print(f"silero_vad: {len(out)} frames, {100 * voiced:.0f} % voiced, numpy within {worst:.1e}")
    np.savez_compressed(OUT / "silero_vad.npz", frame=sound, out=np.stack(out))


if __name__ == "__main__":
    main()
