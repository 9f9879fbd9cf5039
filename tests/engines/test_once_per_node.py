"""Who can look into what is fetched for all processes of a machine."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from raypipe.engines.once_per_node import CACHE_VARIABLE, cache_folder, node_lock


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    return tmp_path


def test_the_cache_is_its_user_s_alone_and_one_that_is_open_is_closed(home: Path) -> None:
    with node_lock("x"):
        assert mode(cache_folder()) == 0o700
    cache_folder().chmod(0o755)
    with node_lock("x"):
        assert mode(cache_folder()) == 0o700


def test_a_named_cache_is_made_closed_and_one_that_is_shared_stays_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = home / "shared"
    shared.mkdir(mode=0o755)
    for folder, then in ((home / "made", 0o700), (shared, 0o755)):
        monkeypatch.setenv(CACHE_VARIABLE, str(folder))
        with node_lock("x"):
            assert mode(folder) == then
