"""Evaluation splits are refused where a gold label is shown to be learnt from."""

from __future__ import annotations

from typing import Any

import pytest

from raypipe.runtime.rationale.config import RationaleConfig


def config(**changes: Any) -> RationaleConfig:
    document = {"input": {"shards": "s"}, "output": "o", "splits": ["train"], **changes}
    return RationaleConfig.model_validate(document)


@pytest.mark.parametrize(
    "name", ["test", "Test1", "test_2", "development", "dev_clean", "validation", "eval", "myTest"]
)
def test_evaluation_splits_are_refused_unless_for_test_ii(name: str) -> None:
    with pytest.raises(ValueError, match="training splits only"):
        config(splits=["train", name])
    assert config(splits=[name], purpose="test_ii").splits == (name,)


@pytest.mark.parametrize("name", ["train", "Train", "unsplit", "train-clean-100", "contest"])
def test_training_splits_are_taken(name: str) -> None:
    assert config(splits=[name]).splits == (name,)


def test_splits_have_to_be_named() -> None:
    with pytest.raises(ValueError, match="splits"):
        RationaleConfig.model_validate({"input": {"shards": "s"}, "output": "o"})
    with pytest.raises(ValueError, match="name the training splits"):
        config(splits=[])


def test_a_rationale_is_about_a_whole_clip() -> None:
    with pytest.raises(ValueError, match="not about its parts"):
        config(audio={"long_audio": "windows"})


def test_what_can_change_a_rationale_is_in_the_identity_and_nothing_else() -> None:
    first = config().identity("i", "t", {})
    assert config(name="x", output="p", max_error_fraction=0.5).identity("i", "t", {}) == first
    for changes in (
        {"tries": 2},
        {"rules": {"most_words": 40}},
        {"gold": "plurality"},
        {"splits": ["train", "unsplit"]},
        {"transcript": "optional"},
    ):
        assert config(**changes).identity("i", "t", {}) != first
    assert config().identity("i", "t", {"teacher": "other"}) != first
