"""The bundled audio language model, its speech synthesiser and the synthetic corpus."""

from __future__ import annotations

from pathlib import Path


def checkpoint_path() -> Path:
    """Folder of the bundled checkpoint: a real, tiny Qwen2-Audio that any loader reads."""
    return Path(__file__).parent / "checkpoint"
