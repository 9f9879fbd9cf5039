"""Synthetic corpus: speech of the synthesiser with simulated votes, made as it is read.

Clip ``i`` of a split depends on the seed and on ``i`` alone, so any part of a corpus can be made
anywhere. A speaker's voice depends on the speaker's number alone; no voice is in both splits.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from raypipe.records import FloatArray, Utterance
from raypipe.tiny_alm.annotators import (
    VOTES_PER_CLIP,
    annotator_pool,
    collect_votes,
    plurality,
    vote_shares,
)
from raypipe.tiny_alm.synth import (
    EMOTIONS,
    SAMPLING_RATE,
    Delivery,
    Speaker,
    random_speaker,
    speak,
)

DATASET = "synthetic"
Split = Literal["train", "test"]

SPEAKERS: dict[Split, int] = {"train": 400, "test": 40}
_LETTER: dict[Split, str] = {"train": "l", "test": "t"}
_STREAM: dict[Split, int] = {"train": 1, "test": 2}

# Neutral leads, as in CREMA-D's voice-only votes; the rest are near equal.
_DOMINANT = {
    "anger": 0.14,
    "disgust": 0.13,
    "fear": 0.13,
    "happiness": 0.13,
    "neutral": 0.33,
    "sadness": 0.14,
}
_PRIOR = np.array([_DOMINANT[name] for name in EMOTIONS])
_MIXED_SHARE = 0.5

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Clip:
    """A synthetic clip before encoding, with the parameters of its synthesis.

    Attributes:
        mix: the emotion spoken, shape ``(emotions,)``, summing to 1.
        samples: mono audio at ``synth.SAMPLING_RATE``, shape ``(samples,)``.
    """

    utterance_id: str
    speaker: str
    mix: Array
    samples: FloatArray
    delivery: Delivery


def synthetic_utterances(
    count: int, *, seed: int = 0, split: Split = "test"
) -> Iterator[Utterance]:
    """The first ``count`` utterances of a synthetic corpus.

    Args:
        count: number of utterances.
        seed: another seed gives other sentences of the same speakers.
        split: ``train`` and ``test`` have different speakers.
    """
    for index in range(count):
        yield synthetic_utterance(index, seed=seed, split=split)


def synthetic_utterance(index: int, *, seed: int = 0, split: Split = "test") -> Utterance:
    """Utterance number ``index`` of a synthetic corpus: FLAC audio and ten votes."""
    rng = _generator(index, seed, split)
    clip = make_clip(index, split, rng)
    votes = collect_votes(clip.mix, annotator_pool_cached(), rng)
    shares = vote_shares(votes)
    return Utterance(
        utterance_id=clip.utterance_id,
        dataset=DATASET,
        split=split,
        speaker=clip.speaker,
        audio=encode_flac(clip.samples),
        sampling_rate=SAMPLING_RATE,
        duration_s=len(clip.samples) / SAMPLING_RATE,
        votes=votes,
        soft_label=shares,
        plurality=plurality(shares),
        n_votes=VOTES_PER_CLIP,
    )


def synthetic_clip(
    index: int, *, seed: int = 0, split: Split = "test"
) -> tuple[Clip, tuple[float, ...]]:
    """The clip behind :func:`synthetic_utterance`, and its soft label."""
    rng = _generator(index, seed, split)
    clip = make_clip(index, split, rng)
    return clip, vote_shares(collect_votes(clip.mix, annotator_pool_cached(), rng))


def make_clip(index: int, split: Split, rng: np.random.Generator) -> Clip:
    """Clip number ``index``: its speaker follows from the number, its emotion is drawn."""
    number = index % SPEAKERS[split]
    speaker = f"syn-{_LETTER[split]}{number:03d}"
    mix = random_mix(rng)
    samples, delivery = speak(mix, voice(split, number), rng)
    return Clip(f"{speaker}-{index:04d}", speaker, mix, samples, delivery)


def random_mix(rng: np.random.Generator) -> Array:
    """Random emotion: half of them nearly pure, half mixed of two or three.

    Returns:
        A point on the simplex, shape ``(emotions,)``; its largest part follows the corpus prior.
    """
    dominant = int(rng.choice(len(EMOTIONS), p=_PRIOR))
    others = np.delete(np.arange(len(EMOTIONS)), dominant)
    mix = np.zeros(len(EMOTIONS))
    if rng.random() >= _MIXED_SHARE:
        mix[dominant] = rng.uniform(0.9, 1.0)
        mix[others] = (1.0 - mix[dominant]) * rng.dirichlet(np.ones(len(others)))
        return mix
    parts = int(rng.choice([1, 2], p=[0.75, 0.25]))
    chosen = rng.choice(others, parts, replace=False)
    weights = np.sort(rng.dirichlet(np.full(parts + 1, 4.0)))[::-1]
    mix[dominant] = weights[0]
    mix[chosen] = weights[1:]
    return mix


@lru_cache(maxsize=sum(SPEAKERS.values()))
def voice(split: Split, number: int) -> Speaker:
    """Voice of one speaker, the same in every corpus, whatever its seed."""
    return random_speaker(np.random.default_rng([_STREAM[split], number]))


annotator_pool_cached = lru_cache(maxsize=1)(annotator_pool)


def encode_flac(samples: FloatArray) -> bytes:
    """Bytes of a 16-bit FLAC file with mono samples in [-1, 1]."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLING_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _generator(index: int, seed: int, split: Split) -> np.random.Generator:
    return np.random.default_rng([_STREAM[split], seed, index])
