"""Work that ends its actors: counted on their node, and refused in the end."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from raypipe.errors import LostEngineError
from raypipe.runtime.ray.attempts import MOST_LOSSES, Attempts

WORK = "asking a model about shard s-0"
DYING = """
import os, signal, sys
from raypipe.runtime.ray.attempts import Attempts

with Attempts("test").begun(sys.argv[1]):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a node's temporary files are."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def lost(times: int, folder: Path) -> None:
    """So many attempts whose processes ended."""
    kept = folder / "raypipe-attempts-test"
    with Attempts("test").begun(WORK):
        [note] = kept.iterdir()
        work = note.name.split(".")[0]
    kept.mkdir()
    for number in range(times):
        (kept / f"{work}.{-number}").touch()


def test_a_process_that_is_killed_leaves_its_attempt_behind(folder: Path) -> None:
    for _ in range(2):
        subprocess.run([sys.executable, "-c", DYING, WORK], check=False, env=dict(os.environ))
    assert len(list((folder / "raypipe-attempts-test").iterdir())) == 2


def test_work_is_refused_after_too_many_losses_and_nothing_is_left(folder: Path) -> None:
    lost(MOST_LOSSES, folder)
    told = f"ended {MOST_LOSSES} times during {WORK}"
    with pytest.raises(LostEngineError, match=told), Attempts("test").begun(WORK):
        raise AssertionError("it must not begin")
    assert list(folder.iterdir()) == []


def test_work_that_comes_to_its_end_is_forgotten_with_its_losses(folder: Path) -> None:
    for _ in range(3):
        lost(MOST_LOSSES - 1, folder)
        with pytest.raises(ValueError, match="told"), Attempts("test").begun(WORK):
            raise ValueError("told")
        assert list(folder.iterdir()) == []


def test_other_work_and_other_streams_do_not_count(folder: Path) -> None:
    lost(MOST_LOSSES, folder)
    with Attempts("test").begun("asking a model about shard s-1"):
        pass
    with Attempts("another").begun(WORK):
        pass
    assert len(list((folder / "raypipe-attempts-test").iterdir())) == MOST_LOSSES


def test_where_nothing_can_be_written_work_goes_on_and_the_log_says_so(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "raypipe-attempts-test").write_text("a file in the folder's place")
    done = []
    with caplog.at_level(logging.WARNING), Attempts("test").begun(WORK):
        done.append(WORK)
    assert done == [WORK]
    assert f"attempts at {WORK} are not counted" in caplog.text


def test_nothing_of_a_stream_is_left_at_its_end(folder: Path) -> None:
    attempts = Attempts("test")
    lost(3, folder)
    with pytest.raises(KeyboardInterrupt), attempts.cleared():
        raise KeyboardInterrupt
    assert list(folder.iterdir()) == []
    with attempts.cleared():
        pass
    assert list(folder.iterdir()) == []
