"""Figures and card of the model that hears words.

``python -m raypipe.tiny_alm.training.evaluate_words --checkpoint DIR``

Speakers are those of split ``test``, outside everything that it was trained on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
from rich.console import Console

from raypipe.explain.classify.word_errors import (
    WordErrors,
    count_word_errors,
    most_frequent_sentence,
    normalised,
)
from raypipe.metrics.bootstrap import id_hashes, interval, weights_from_hashes
from raypipe.parsing.choices import read_choice, read_free
from raypipe.prompts import EXPLAINABLE, render_prompt
from raypipe.prompts.options import lettered
from raypipe.tiny_alm.spoken import (
    LABEL_SET,
    SPEAKERS,
    clip_id,
    sentence,
    spoken_clip,
    true_mix,
)
from raypipe.tiny_alm.synth import EMOTIONS
from raypipe.tiny_alm.training.answers import ReferenceModel
from raypipe.tiny_alm.training.data import no_voice

_SEED = 7  # neither the walk-through's nor the tests' sentences
_REPLICATES = 1000


class FormFigures(TypedDict):
    """How often an answer names the emotion that leads."""

    clips: int
    known: float
    new: float
    unread: float


class WordFigures(TypedDict):
    """All figures of a checkpoint.

    ``word_error_rate`` is of all words together, with its 95 % interval over speakers, ``silent``
    the share of clips without a voice that are said to have no words. Of a form, ``known`` is the
    accuracy for the six emotions it was trained on, ``new`` for the two it was not.
    """

    clips: int
    word_error_rate: float
    low: float
    high: float
    commonest_sentence: float
    sentences_right: float
    silent: float
    forms: dict[str, FormFigures]


def word_figures(model: ReferenceModel, clips: int) -> WordFigures:
    """Figures of a model on the first clips of split ``test``."""
    samples = [spoken_clip(index, "test", _SEED)[0] for index in range(clips)]
    said = [sentence(index, "test", _SEED) for index in range(clips)]
    question = render_prompt("transcribe", LABEL_SET)
    answers = model.ask("transcribe", samples, [question] * clips, LABEL_SET)
    heard = [answer.text for answer in answers]
    errors = [count_word_errors(a, b) for a, b in zip(said, heard, strict=True)]
    counted = [item for item in errors if item is not None]
    low, high = _interval(counted, [clip_id(i, "test").rpartition("-")[0] for i in range(clips)])
    commonest = most_frequent_sentence(said)
    baseline = [item for item in (count_word_errors(a, commonest) for a in said) if item]
    rng = np.random.default_rng(_SEED)
    silent = model.ask("transcribe", [no_voice(rng) for _ in range(40)], [question] * 40, LABEL_SET)
    return {
        "clips": clips,
        "word_error_rate": _rate(counted),
        "low": low,
        "high": high,
        "commonest_sentence": _rate(baseline),
        "sentences_right": float(
            np.mean([normalised(a) == normalised(b) for a, b in zip(said, heard, strict=True)])
        ),
        "silent": float(np.mean([normalised(a.text) == "no words" for a in silent])),
        "forms": {
            prompt: _form_figures(model, prompt, samples)
            for prompt in EXPLAINABLE
            if prompt != "transcribe"
        },
    }


def _form_figures(model: ReferenceModel, prompt: str, samples: Sequence[object]) -> FormFigures:
    clips = len(samples)
    question = render_prompt(prompt, LABEL_SET)
    answers = model.ask(prompt, samples, [question] * clips, LABEL_SET)  # type: ignore[arg-type]
    options = lettered(LABEL_SET)
    named = [
        read_choice(answer.text, LABEL_SET, options).label
        if prompt.startswith("closed")
        else read_free(answer.text, LABEL_SET).label
        for answer in answers
    ]
    truth = [LABEL_SET.names[int(true_mix(i, "test", _SEED).argmax())] for i in range(clips)]
    right = np.array([a == b for a, b in zip(named, truth, strict=True)])
    known = np.array([name in EMOTIONS for name in truth])
    return {
        "clips": clips,
        "known": float(right[known].mean()),
        "new": float(right[~known].mean()),
        "unread": float(np.mean([name is None for name in named])),
    }


def _rate(errors: Sequence[WordErrors]) -> float:
    return sum(item.errors for item in errors) / sum(item.words for item in errors)


def _interval(errors: Sequence[WordErrors], speakers: Sequence[str]) -> tuple[float, float]:
    weights = weights_from_hashes(id_hashes(speakers), _REPLICATES, 0).T.astype(np.float64)
    made = weights @ np.array([item.errors for item in errors])
    words = weights @ np.array([item.words for item in errors])
    return interval(made / words)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=5 * SPEAKERS["test"])
    arguments = parser.parse_args()
    found = word_figures(ReferenceModel(arguments.checkpoint), arguments.clips)
    text = json.dumps(found, indent=1) + "\n"
    (arguments.checkpoint / "evaluation.json").write_text(text, encoding="utf-8")
    Console().print(text)


if __name__ == "__main__":
    main()
