"""Puts this folder's plain modules on the path, as ``tests/conftest.py`` does with its own."""

import sys
from pathlib import Path

import pytest
from in_process import InProcess, utterance

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def empty(fake_engine: None, tmp_path: Path) -> InProcess:
    """A place for shards and tables, without any yet."""
    return InProcess(tmp_path)


@pytest.fixture
def corpus(empty: InProcess) -> InProcess:
    """Twelve training utterances, one without a transcript, and one of another split."""
    from rationale_runs import training  # beside this file

    rows = [training(f"u{number}") for number in range(12)]
    empty.write(*rows, training("u12", transcript=None), utterance("u13"))
    return empty
