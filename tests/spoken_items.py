"""Utterances of the spoken corpus whose audio is a quiet tone: nothing is synthesised."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from raypipe.records import Utterance
from raypipe.tiny_alm.corpus import encode_flac
from raypipe.tiny_alm.spoken import (
    DATASET,
    LABEL_SET,
    SpokenSplit,
    clip_id,
    sentence,
    spoken_votes,
)
from raypipe.tiny_alm.synth import SAMPLING_RATE
from raypipe.votes import soft_label

_SAMPLES = 3200


def toneless_utterances(count: int, split: SpokenSplit = "train") -> Iterator[Utterance]:
    """The first utterances of a split, each with a tone of its own in the place of its speech."""
    time_s = np.arange(_SAMPLES) / SAMPLING_RATE
    for index in range(count):
        votes = spoken_votes(index, split)
        counted = soft_label(votes, LABEL_SET)
        tone = 0.1 * np.sin(2 * np.pi * (200 + index) * time_s)
        name = clip_id(index, split)
        yield Utterance(
            utterance_id=name,
            dataset=DATASET,
            split=split,
            speaker=name.rpartition("-")[0],
            audio=encode_flac(tone.astype(np.float32)),
            sampling_rate=SAMPLING_RATE,
            duration_s=_SAMPLES / SAMPLING_RATE,
            transcript=sentence(index, split),
            votes=votes,
            soft_label=counted.probs,
            plurality=counted.plurality,
            n_votes=counted.n_votes,
        )
