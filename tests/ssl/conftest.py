from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from random_encoders import save_encoder


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a small random checkpoint, made once."""
    folder = tmp_path_factory.mktemp("encoders")

    def place(name: str) -> Path:
        made = folder / name
        return made if made.exists() else save_encoder(name, folder)

    return place
