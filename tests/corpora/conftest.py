"""What the tests of the corpora share."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus_folder import CorpusFolder


@pytest.fixture
def folder(tmp_path: Path) -> CorpusFolder:
    """An empty corpus folder."""
    return CorpusFolder(tmp_path)


@pytest.fixture
def shared_data() -> Path:
    """Real data beside the repository, where there is any."""
    found = Path(__file__).parents[3] / "shared" / "data"
    if not found.is_dir():
        pytest.skip("no ../shared/data beside the repository")
    return found
