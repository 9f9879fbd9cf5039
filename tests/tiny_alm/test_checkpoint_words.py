"""The checkpoint that hears words: what its card says, on held-out speakers."""

import json

import pytest
import torch
from transformers import Qwen2AudioForConditionalGeneration

from raypipe.config.model import local_path
from raypipe.tiny_alm import checkpoint_path
from raypipe.tiny_alm.spoken import LABEL_SET
from raypipe.tiny_alm.training.answers import ReferenceModel
from raypipe.tiny_alm.training.evaluate_words import word_figures

FOLDER = checkpoint_path("tiny-alm-words")


@pytest.fixture(scope="module")
def measured():
    return word_figures(ReferenceModel(FOLDER), 40)


def test_its_name_is_a_path_of_a_config():
    assert local_path("tiny-alm-words") == str(FOLDER)
    with pytest.raises(KeyError):
        checkpoint_path("tiny-alm-wards")


def test_plain_transformers_finds_every_weight_and_no_other():
    _, info = Qwen2AudioForConditionalGeneration.from_pretrained(
        FOLDER, dtype=torch.float32, output_loading_info=True, local_files_only=True
    )
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 20e6


def test_words_of_held_out_speakers_are_heard(measured):
    assert measured["word_error_rate"] < 0.3
    assert measured["commonest_sentence"] > 0.7
    assert measured["silent"] > 0.9


def test_it_names_the_emotions_that_it_knows_and_not_the_new_ones(measured):
    for form in ("open_form", "closed_form"):
        assert measured["forms"][form]["known"] > 0.75
        assert measured["forms"][form]["new"] < 0.2
    assert {"surprise", "contempt"} < {*LABEL_SET.names}


def test_the_card_has_the_figures_that_were_measured():
    figures = json.loads((FOLDER / "evaluation.json").read_text(encoding="utf-8"))
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in ("word_error_rate", "low", "high", "commonest_sentence"):
        assert f"{100 * figures[name]:.1f} %" in card
    for form in figures["forms"].values():
        assert f"{100 * form['known']:.1f} %" in card
