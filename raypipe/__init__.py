"""raypipe: emotion distributions from audio language models, for whole speech corpora, on Ray.

>>> import raypipe
>>> callable(raypipe.run), raypipe.metrics.__name__
(True, 'raypipe.metrics')
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

# Rooms with the name of a job: imported first, or they would take the place of the functions below.
import raypipe.finetune
import raypipe.relabel  # noqa: F401 (it is rebound)
from raypipe.face.everyday import (
    Run,
    features,
    heads,
    ingest,
    inspect,
    load,
    predict,
    reaggregate,
    relabel,
    run,
)
from raypipe.face.explain import classify, export, finetune, judge, rationale

if TYPE_CHECKING:
    from raypipe import metrics

__version__ = "0.2.0.dev0"

__all__ = [
    "Run",
    "classify",
    "export",
    "features",
    "finetune",
    "heads",
    "ingest",
    "inspect",
    "judge",
    "load",
    "metrics",
    "predict",
    "rationale",
    "reaggregate",
    "relabel",
    "run",
]


def __dir__() -> list[str]:
    """The names that are meant to be used."""
    return sorted(__all__)


def __getattr__(name: str) -> ModuleType:
    """The metrics as functions, imported when they are first used."""
    if name == "metrics":
        return importlib.import_module("raypipe.metrics")
    raise AttributeError(f"module 'raypipe' has no attribute {name!r}")
