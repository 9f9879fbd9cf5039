"""Versions of everything that can change a number of a run."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import raypipe
from raypipe.engines.plugins import engine_packages


def versions(engines: Sequence[str] = ()) -> Mapping[str, str]:
    """Versions of everything that can change a number.

    Args:
        engines: whose own packages count, too.
    """
    packages = ("torch", "transformers", "ray", "pyarrow", "numpy", "scipy", "soundfile")
    versions_by_name = {package: version(package) for package in packages}
    for extra in engine_packages(engines):
        with suppress(PackageNotFoundError):
            versions_by_name[extra] = version(extra)
    return {"raypipe": raypipe.__version__, "python": platform.python_version(), **versions_by_name}
