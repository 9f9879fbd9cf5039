"""Objects named by module and name, imported when they are asked for."""

from __future__ import annotations

import importlib
from typing import Any


def load_object(reference: str) -> Any:
    """Object behind ``module:name``; whatever its module imports is imported now.

    Example:
        >>> load_object("math:tau") == 2 * load_object("math:pi")
        True
    """
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)
