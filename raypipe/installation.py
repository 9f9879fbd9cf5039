"""How to install raypipe with its optional parts, for messages that ask for one."""

from __future__ import annotations

# A path, because no public address of this project is known and the name "raypipe" is another
# project's on PyPI.
_FROM_SOURCE = "pip install '.[{extra}]' in the folder of raypipe's source"


def install_hint(extra: str) -> str:
    """Command that installs raypipe with an extra of ``pyproject.toml``.

    Example:
        >>> install_hint("vllm")
        "pip install '.[vllm]' in the folder of raypipe's source"
    """
    return _FROM_SOURCE.format(extra=extra)
