"""What comes with the package, and how its optional parts are installed."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from pathlib import Path

BUNDLED_CHECKPOINTS: Mapping[str, str] = {
    "tiny-alm": "checkpoint",
    "tiny-alm-words": "checkpoint_words",
}
"""Models that come with the package, by name, each with its folder in ``raypipe/tiny_alm/``."""

# A path, because no public address of this project is known and the name "raypipe" is another
# project's on PyPI.
_FROM_SOURCE = "pip install '.[{extra}]' in the folder of raypipe's source"


def bundled_checkpoint(model: str) -> Path:
    """Folder of a model that comes with the package.

    Every process asks for itself: the package may lie elsewhere on another machine.

    Raises:
        KeyError: for another name.
    """
    return Path(str(importlib.resources.files("raypipe"))) / "tiny_alm" / BUNDLED_CHECKPOINTS[model]


def install_hint(extra: str) -> str:
    """Command that installs raypipe with an extra of ``pyproject.toml``.

    Example:
        >>> install_hint("vllm")
        "pip install '.[vllm]' in the folder of raypipe's source"
    """
    return _FROM_SOURCE.format(extra=extra)
