"""What the tests of the corpora share."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus_folder import CorpusFolder


@pytest.fixture
def folder(tmp_path: Path) -> CorpusFolder:
    """An empty corpus folder."""
    return CorpusFolder(tmp_path)
