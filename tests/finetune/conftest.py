"""A small export of the spoken corpus, the bundled model and a random adapter of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from spoken_export import save_random_adapter, write_export

from raypipe.config.model import local_path
from raypipe.engines.frontend import TransformersFrontend


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_alm() -> str:
    return local_path("tiny-alm")


@pytest.fixture(scope="session")
def frontend(tiny_alm) -> TransformersFrontend:
    return TransformersFrontend(tiny_alm)


@pytest.fixture(scope="session")
def export(tmp_path_factory) -> Path:
    return write_export(tmp_path_factory.mktemp("data") / "export", 24, 6)


@pytest.fixture(scope="session")
def random_adapter(tmp_path_factory, tiny_alm) -> Path:
    return save_random_adapter(tmp_path_factory.mktemp("adapter") / "adapter", tiny_alm)
