"""The bundled audio language models, their speech synthesiser and the synthetic corpora."""

from __future__ import annotations

from pathlib import Path

from raypipe.installation import bundled_checkpoint


def checkpoint_path(model: str = "tiny-alm") -> Path:
    """Folder of a bundled checkpoint: a real, tiny Qwen2-Audio that any loader reads.

    Args:
        model: ``tiny-alm``, or ``tiny-alm-words``, which hears words.

    Raises:
        KeyError: for another name.
    """
    return bundled_checkpoint(model)
