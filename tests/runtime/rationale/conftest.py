"""Puts this folder's plain modules on the path, as ``tests/conftest.py`` does with its own."""

import sys
from pathlib import Path

import pytest
from in_process import InProcess

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def empty(fake_engine: None, tmp_path: Path) -> InProcess:
    """A place for shards and tables, without any yet."""
    return InProcess(tmp_path)
