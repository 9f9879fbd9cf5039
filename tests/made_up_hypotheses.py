"""Made-up hypotheses for the tests of questions and strategies."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from raypipe.labels import LabelSet
from raypipe.questions import QUESTIONS
from raypipe.records import EmotionTokens, EmotionWord, Hypothesis, Option, Prediction
from raypipe.strategies import (
    STRATEGIES,
    Fitted,
    Settings,
    Strategy,
    Variant,
    predict_variants,
    strategy_named,
)
from raypipe.strategies.fitting import CorpusRows, fit_corpus

LABELS = LabelSet(("anger", "sadness"))
TOKENS = EmotionTokens(
    (EmotionWord("anger", "anger", (10,)), EmotionWord("sadness", "sad", (20,))),
    (10, 20),
    ("anger", "sad"),
)

LOGITS = np.array([[3.0, 1.0]] * 4, dtype=np.float32)
_QUESTIONS = Path(__file__).parent / "questions/catalogue"


def example_answers() -> list[Hypothesis]:
    """Answers to every question of the registry, from the questions' own tests.

    A question about candidates answers on the candidates themselves, in their place.
    """
    by_kind = {question.kind: answers_to(name) for name, question in QUESTIONS.items()}
    return [answer for answers in by_kind.values() for answer in answers]


def answers_to(question: str) -> list[Hypothesis]:
    """The ``ANSWERS`` in a question's test."""
    path = _QUESTIONS / f"test_{question}.py"
    spec = importlib.util.spec_from_file_location(f"answers_to_{question}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    answers: list[Hypothesis] = getattr(module, "ANSWERS", [])
    assert answers, f"question {question}: {path.name} has no ANSWERS, examples for strategies"
    return answers


def heard(kind: str, anger: float | None, steps: int = 4, **more: Any) -> Hypothesis:
    """An answer of so many tokens that gives anger this share; None for one without a share."""
    text = "hm" if anger is None else f'{{"anger": {anger}, "sadness": {1 - anger:.4f}}}'
    plain = Hypothesis(kind, 0, text, tuple(range(steps)), None, -1.0, "stop", None)  # type: ignore[arg-type]
    return replace(plain, **{"prompt_tokens": 100, **more})


def beams(*anger: float | None, width: int | None = None, **more: Any) -> list[Hypothesis]:
    """Beams by rank, of equal alpha, 5 tokens each."""
    return [
        heard("beam", share, 5, rank=rank, beam_count=width, **more)
        for rank, share in enumerate(anger)
    ]


OPTIONS = (
    Option("A", "anger", "Angry"),
    Option("B", "sadness", "Sad"),
    Option("C", "other", "Other"),
)
WITH_LETTERS = EmotionTokens(
    (*TOKENS.words, *(EmotionWord(o.letter, o.letter, (30 + n,)) for n, o in enumerate(OPTIONS))),
    (10, 20, 30, 31, 32),
    ("anger", "sad", "A", "B", "C"),
)


def chosen(
    letter: str, answer: Hypothesis, logits: tuple[float, ...] = (2.0, 1.0, 0.0)
) -> Hypothesis:
    """An answer in whose place an option's letter is chosen, with logits of the three letters."""
    recorded = np.array([[0.0, 0.0, 9.0, 9.0, 9.0], [3.0, 1.0, *logits], *[[0.0] * 5] * 2])
    return replace(
        answer,
        text=f"The answer is {letter}.",
        token_ids=(1, 30 + "ABC".index(letter), 2, 3),
        emotion_logits=None if answer.emotion_logits is None else recorded,
        finish_reason="stop",
    )


def predicted(strategy: str, hypotheses: list[Hypothesis], **settings: object) -> Prediction:
    """One strategy's prediction from some answers; to a closed form for one that reads options."""
    declared = STRATEGIES[strategy]
    variants = [Variant(strategy, strategy, Settings(**settings))]
    if isinstance(declared, Strategy) and declared.reads_options:
        answers = [chosen("A", item) if item.kind == "greedy" else item for item in hypotheses]
        return closed_form(strategy, answers, **settings)
    (prediction,) = predictions(hypotheses, variants)
    return prediction


CORPUS = 240
"""Utterances that fitted strategies are fitted to."""


def made_up_rows() -> CorpusRows:
    """A corpus of 12 speakers and two splits, whose votes are more extreme than its predictions.

    Speakers and splits differ in how much, and the plurality has no tie.
    """
    rng = np.random.default_rng(5)
    names = [f"u{number:03d}" for number in range(CORPUS)]
    speakers = [f"s{number % 12}" for number in range(CORPUS)]
    votes = rng.binomial(9, np.clip(rng.normal(0.55, 0.35, CORPUS), 0, 1)) / 9
    pull = np.array([0.3 + 0.05 * (number % 12) for number in range(CORPUS)])
    guess = np.clip(0.5 + pull * (votes - 0.5) + rng.normal(0, 0.12, CORPUS), 0.02, 0.98)
    return CorpusRows(
        LABELS,
        tuple(names),
        tuple("dev" if number % 12 < 3 else "test" for number in range(CORPUS)),
        tuple(speakers),
        np.stack([votes, 1 - votes], axis=1),
        np.where(votes > 0.5, 0, 1),
        np.stack([guess, 1 - guess], axis=1),
    )


def predictions(
    hypotheses: list[Hypothesis], variants: Sequence[Variant], speaker: str = "s7"
) -> list[Prediction]:
    """Predictions of a speaker's utterance; fitted strategies are fitted to a made-up corpus."""
    made = predict_variants(hypotheses, [variant.base for variant in variants], LABELS, TOKENS)
    return [
        _fitted(variant, prediction, speaker)
        for variant, prediction in zip(variants, made, strict=True)
    ]


def _fitted(variant: Variant, base: Prediction, speaker: str) -> Prediction:
    if not isinstance(strategy_named(variant.strategy), Fitted):
        return base
    rows = made_up_rows()
    fit = fit_corpus(variant, rows, [name for name in rows.speakers if name])
    prediction = fit.predict(base, LABELS, speaker=speaker, split="test")
    assert prediction is not None  # it is not of the split that is fitted to
    return prediction


def closed_form(strategy: str, answers: list[Hypothesis], **settings: object) -> Prediction:
    """One strategy's prediction from answers to a closed form."""
    variants = [Variant(strategy, strategy, Settings(**settings))]
    (prediction,) = predict_variants(answers, variants, LABELS, WITH_LETTERS, (), OPTIONS)
    return prediction


def anger(strategy: str, hypotheses: list[Hypothesis], **settings: object) -> float:
    """The share of anger in it, to six decimals."""
    prediction = predicted(strategy, hypotheses, **settings)
    assert prediction.probs is not None, prediction.invalid_reason
    return round(float(prediction.probs[0]), 6)
