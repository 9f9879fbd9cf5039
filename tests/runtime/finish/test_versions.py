"""Versions of everything that can change a number of a run."""

from __future__ import annotations

import platform
from importlib.metadata import version

import pytest

import raypipe
from raypipe.errors import ConfigError
from raypipe.runtime.finish.versions import versions


def test_versions_are_those_that_are_installed() -> None:
    told = versions()
    assert told["raypipe"] == raypipe.__version__
    assert told["python"] == platform.python_version()
    for package in ("numpy", "pyarrow", "ray", "torch", "transformers"):
        assert told[package] == version(package)


def test_an_engine_s_own_packages_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from raypipe.runtime.finish import versions as module

    monkeypatch.setattr(module, "engine_packages", lambda engines: ("pytest", "not-installed"))
    told = versions(["x"])
    assert told["pytest"] == version("pytest")
    assert "not-installed" not in told


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown engine"):
        versions(["none such"])
