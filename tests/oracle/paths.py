"""Where the oracles read and write; `examples/fetch` fills the first two."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "examples" / "models"
DATA = ROOT / "examples" / "data"
OUT = Path(__file__).resolve().parent / "out"
OUT.mkdir(exist_ok=True)


def need(path):
    """The path, or one sentence on how to get it."""
    if not path.exists():
        raise SystemExit(f"{path.relative_to(ROOT)} is absent: run `examples/fetch all` first")
    return path
