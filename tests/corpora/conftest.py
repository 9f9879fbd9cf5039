"""What the tests of the corpora share."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus_folder import CorpusFolder


@pytest.fixture
def folder(tmp_path: Path) -> CorpusFolder:
    """An empty corpus folder."""
    return CorpusFolder(tmp_path)


@pytest.fixture(params=[100, pytest.param(1000, marks=pytest.mark.slow)])
def mutations(request: pytest.FixtureRequest) -> int:
    """Number of damaged inputs that a test makes."""
    return int(request.param)
