"""Figures and card of the model that hears words.

``python -m raypipe.tiny_alm.training.evaluate_words --checkpoint DIR``

Speakers are those of split ``test``, outside everything that it was trained on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

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
    PRONUNCIATIONS,
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


_CARD = """---
license: apache-2.0
library_name: transformers
tags: [audio, speech-recognition, speech-emotion-recognition, qwen2_audio]
---

# tiny-alm-words

A Qwen2-Audio with {parameters:.1f} million parameters that hears the {words} words of raypipe's
spoken corpus and answers its built-in prompts. It is there for the explainable framework: it
transcribes, names emotions in free words or as a lettered option, and can be fine-tuned on a
laptop. **It is no recogniser of real speech.** Files as those of `tiny-alm`; load it in float32.

## Training

- From `tiny-alm`, with a tokenizer of its own. {clips:,} clips of {voices} voices of split
  `pretrain` (`raypipe.tiny_alm.spoken`), one in 40 without any voice, in six emotions: of surprise
  and contempt it has read the names and never heard a voice.
- {listening_steps:,} updates of the listening part (vowel and word every 40 ms, emotion, the
  synthesiser's features), {answering_steps:,} of the whole model on three questions per clip,
  {polishing_steps:,} to polish.
- {history}
- Command: `python -m raypipe.tiny_alm.training.train_words --out DIR`

## Figures

{measured} clips of held-out speakers (seed {seed}), plain greedy `generate()` in float32.
Written by `python -m raypipe.tiny_alm.training.evaluate_words`.

- Word error rate: {rate} [{low}, {high}] (95 %, over speakers); the commonest sentence, said for
  every clip: {commonest}. Sentences without an error: {right}.
- Clips without a voice that are said to have no words: {silent}.

| prompt | right for the six emotions it knows | for the two it does not | unread |
| --- | --- | --- | --- |
{forms}

## Limits

- A closed vocabulary and one grammar: any other sentence is heard as one of its own.
- It learned clips of at most 8 s and raypipe's own prompts: a rephrased one may get nonsense.
"""


def words_card(figures: WordFigures, facts: Mapping[str, Any]) -> str:
    """Model card, filled with measured figures.

    Args:
        figures: of the checkpoint.
        facts: ``training.json`` of the training.
    """

    def percent(share: float) -> str:
        return f"{100 * share:.1f} %"

    rows = [
        f"| `{name}` | {percent(form['known'])} | {percent(form['new'])} "
        f"| {percent(form['unread'])} |"
        for name, form in figures["forms"].items()
    ]
    return _CARD.format(
        **{name: facts[name] for name in ("clips", "answering_steps", "polishing_steps")},
        listening_steps=facts["listening_steps"],
        parameters=facts["parameters"] / 1e6,
        history=facts["history"],
        words=len(PRONUNCIATIONS),
        voices=SPEAKERS["pretrain"],
        measured=figures["clips"],
        seed=_SEED,
        rate=percent(figures["word_error_rate"]),
        low=percent(figures["low"]),
        high=percent(figures["high"]),
        commonest=percent(figures["commonest_sentence"]),
        right=percent(figures["sentences_right"]),
        silent=percent(figures["silent"]),
        forms="\n".join(rows),
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--training", type=Path, help="training.json, for the card")
    parser.add_argument("--clips", type=int, default=5 * SPEAKERS["test"])
    arguments = parser.parse_args()
    found = word_figures(ReferenceModel(arguments.checkpoint), arguments.clips)
    text = json.dumps(found, indent=1) + "\n"
    (arguments.checkpoint / "evaluation.json").write_text(text, encoding="utf-8")
    if arguments.training is not None:
        facts = json.loads(arguments.training.read_text(encoding="utf-8"))
        card = words_card(found, facts)
        (arguments.checkpoint / "README.md").write_text(card, encoding="utf-8")
    Console().print(text)


if __name__ == "__main__":
    main()
