"""Utterances of noise for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from in_process import utterance

from raypipe.records import Utterance


@pytest.fixture
def make_utterance() -> Callable[..., Utterance]:
    return utterance
