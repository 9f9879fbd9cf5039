"""Telling a user how to install what is missing."""

from __future__ import annotations


def install_hint(extra: str) -> str:
    """Sentence that says how one of the optional parts of raypipe is installed.

    It names a folder, as the package called raypipe on public registries is somebody else's.

    Args:
        extra: name of the part, a key of ``optional-dependencies`` in ``pyproject.toml``.

    Example:
        >>> install_hint("vllm")
        "install it with: pip install '.[vllm]' (run in the folder of raypipe's source)"
    """
    return f"install it with: pip install '.[{extra}]' (run in the folder of raypipe's source)"
