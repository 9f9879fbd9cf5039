"""Training examples: questions from the built-in prompts, each with its reference answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon

from raypipe.labels import ALIASES, LABEL_SETS, LabelSet
from raypipe.prompts import render_prompt
from raypipe.tiny_alm.synth import FEATURES
from raypipe.tiny_alm.training.data import REAL, SILENT, TARGET_LABELS, TrainingData
from raypipe.tiny_alm.training.tokenizer import COMMON_WORDS

Array = NDArray[np.float64]

_CANONICAL = LABEL_SETS["crema-d-6"]
_TRANSCRIPT_SHARE = 0.25
_CONTEXT_SHARE = 0.1
_FIXED_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One question about one clip, with its reference answer.

    Attributes:
        question: the rendered prompt.
        answer: the reference answer.
        labels: labels that the question names.
        probs: the distribution over ``labels`` that the answer states, shape ``(labels,)``.
    """

    prompt: str
    question: str
    answer: str
    labels: LabelSet
    probs: Array


def tenths(probs: Array) -> Array:
    """Probabilities rounded to one decimal with sum 1 (largest remainder; ties to the first).

    Example:
        >>> tenths(np.array([0.46, 0.46, 0.08]))
        array([0.5, 0.4, 0.1])
    """
    scaled = np.round(10.0 * probs / probs.sum(), 6)
    whole = np.floor(scaled)
    missing = round(10.0 - float(whole.sum()))
    largest = np.argsort(-(scaled - whole), kind="stable")[:missing]
    whole[largest] += 1.0
    rounded: Array = whole / 10.0
    return rounded


def stated_shares(probs: Array) -> Array:
    """Shares that an answer states: tenths of at most 0.9.

    With both "1.0" and "0.9" as possible beginnings, a small model mixes the two up and writes
    "0.0" for every label, or "1.9".

    Example:
        >>> stated_shares(np.array([0.97, 0.01, 0.02]))
        array([0.9, 0. , 0.1])
    """
    rounded = tenths(probs)
    if rounded.max() == 1.0:
        first, second = np.argsort(-probs, kind="stable")[:2]
        rounded[[first, second]] = 0.9, 0.1
    return rounded


def as_json(probs: Array, labels: LabelSet, decimals: int = 1) -> str:
    """JSON object of a distribution, as the prompts ask for it."""
    values = (round(float(value), decimals) for value in probs)
    return json.dumps(dict(zip(labels.names, values, strict=True)))


def fit_score(truth: Array, candidate: Array) -> float:
    """Fit of a candidate to the truth: 1 - Jensen-Shannon distance (base 2), in [0, 1]."""
    return float(1.0 - jensenshannon(truth, candidate, base=2))


def choose_labels(
    shares: Array, origin: int, rng: np.random.Generator, canonical_share: float
) -> LabelSet:
    """Label set of a question: mostly the canonical set, sometimes another that fits.

    Args:
        shares: over ``data.TARGET_LABELS``; a set that covers less than 0.4 of them is not used.
        origin: as in :attr:`TrainingData.origin`; only real speech has boredom.
        rng: the only source of chance.
        canonical_share: share of questions about the synthetic corpus's own six labels.
    """
    if origin == REAL and (rng.random() < 0.5 or shares[TARGET_LABELS.index("boredom")] > 0.5):
        return LABEL_SETS["emodb-7"]
    if rng.random() < canonical_share:
        return _CANONICAL
    name = rng.choice(["iemocap-4", "iemocap-4", "msp-podcast-8", "emodb-7", "random"])
    labels = _random_labels(rng) if name == "random" else LABEL_SETS[str(name)]
    return labels if share_of(shares, labels) is not None else _CANONICAL


def _random_labels(rng: np.random.Generator) -> LabelSet:
    count = int(rng.integers(3, 8))
    names = rng.permutation(sorted(ALIASES))[:count]
    return LabelSet(tuple(str(name) for name in names))


def share_of(target: Array, labels: LabelSet) -> Array | None:
    """Shares over ``labels``, renormalised; None if they cover less than 0.4 of all shares."""
    covered = np.array(
        [target[TARGET_LABELS.index(n)] if n in TARGET_LABELS else 0.0 for n in labels.names]
    )
    return covered / covered.sum() if covered.sum() >= 0.4 else None


def write_example(
    prompt: str,
    shares: Array,
    data: TrainingData,
    clip: int,
    rng: np.random.Generator,
    canonical_share: float = 0.75,
) -> TrainingExample:
    """Training example of one built-in prompt and one clip.

    Args:
        prompt: a built-in name.
        shares: the shares to state, over ``data.TARGET_LABELS``, shape ``(target labels,)``.
        data: the clips.
        clip: index of the clip in ``data``.
        rng: the only source of chance.
        canonical_share: share of questions about the synthetic corpus's own six labels.
    """
    origin = int(data.origin[clip])
    labels = choose_labels(shares, origin, rng, canonical_share)
    probs = share_of(shares, labels)
    if probs is None:
        labels, probs = LABEL_SETS["emodb-7"], shares / shares.sum()
    transcript = _sentence(rng) if rng.random() < _TRANSCRIPT_SHARE else None
    context = [_sentence(rng)] * int(rng.random() < _CONTEXT_SHARE)
    candidate = None
    if prompt == "verify":
        guess = random_candidate(probs, rng)
        candidate = as_json(guess, labels, decimals=1 if rng.random() < 0.7 else 2)
        answer = f"{fit_score(probs, guess):.1f}"
    else:
        answer = write_answer(prompt, probs, labels, data.delivery[clip], origin)
    question = render_prompt(
        prompt,
        labels,
        transcript=transcript,
        context=context,
        fixed_sentences=bool(rng.random() < _FIXED_SHARE),
        candidate=candidate,
    )
    return TrainingExample(prompt, question, answer, labels, probs)


def write_answer(
    prompt: str, probs: Array, labels: LabelSet, delivery: NDArray[np.float32], origin: int
) -> str:
    """Reference answer to a prompt that asks for the distribution itself."""
    rounded = stated_shares(probs)
    if prompt == "single":
        return labels.names[int(probs.argmax())]
    if prompt == "ambiguous":
        return "\n".join(
            f"{name}: {10 * round(10 * value)}%"
            for name, value in zip(labels.names, rounded, strict=True)
        )
    if prompt == "distribution":
        return as_json(rounded, labels)
    return listening_notes(rounded, labels, delivery, origin) + "\n" + as_json(rounded, labels)


def listening_notes(
    probs: Array, labels: LabelSet, delivery: NDArray[np.float32], origin: int
) -> str:
    """Four short notes on the voice, one for each step of the prompt."""
    order = np.argsort(-probs, kind="stable")
    first, second = (labels.names[index] for index in order[:2])
    mixed = probs[order[1]] >= 0.2
    return "\n".join(
        [
            "1. " + ("No voice." if origin == SILENT else voice_note(delivery)),
            "2. The words carry little.",
            f"3. Cues point to {first} and {second}." if mixed else f"3. Cues point to {first}.",
            f"4. Mostly {first}, some {second}." if mixed else f"4. Clear {first}.",
        ]
    )


def voice_note(delivery: NDArray[np.float32]) -> str:
    """Pitch, melody, tempo, pauses and strength of a voice, each in a word."""
    values = dict(zip(FEATURES, (float(value) for value in delivery), strict=True))
    return " ".join(
        [
            _grade(values["pitch"], 0.0, 2.5, "Low", "Middle", "High") + " pitch,",
            _grade(values["accent"], 1.2, 2.4, "flat", "medium", "lively") + " melody,",
            _grade(values["rate"], -0.12, 0.1, "slow", "steady", "fast") + " tempo,",
            _grade(values["pause"], 0.14, 0.24, "few", "some", "many") + " pauses,",
            _grade(values["level"], -3.0, 2.5, "soft", "medium", "loud") + " voice.",
        ]
    )


def _grade(value: float, low: float, high: float, *words: str) -> str:
    return words[int(value > low) + int(value > high)]


def random_candidate(probs: Array, rng: np.random.Generator) -> Array:
    """Candidate distribution for the verifier: right, blurred, permuted or unrelated."""
    kind = rng.integers(5)
    other = rng.dirichlet(np.full(len(probs), rng.choice([0.15, 0.5, 2.0])))
    if kind == 0:
        return tenths(probs)
    if kind == 1:
        return tenths(probs[rng.permutation(len(probs))])
    if kind == 2:
        return tenths(other)
    share = rng.uniform(0.1, 0.8)
    return tenths((1.0 - share) * probs + share * other)


def _sentence(rng: np.random.Generator) -> str:
    words: Sequence[str] = [str(w) for w in rng.choice(COMMON_WORDS, int(rng.integers(2, 9)))]
    text = " ".join(words)
    return text[0].upper() + text[1:] + str(rng.choice([".", "?", ""]))
