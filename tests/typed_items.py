"""Utterances of the corpus with typed descriptions whose audio is a moment of silence.

Relabelling reads votes only: nothing is synthesised.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from raypipe.records import Utterance
from raypipe.tiny_alm.corpus import encode_flac
from raypipe.tiny_alm.synth import LABEL_SET, SAMPLING_RATE
from raypipe.tiny_alm.typed import DATASET, clip_id, typed_votes
from raypipe.votes import soft_label

_SAMPLES = 160
_SILENCE = encode_flac(np.zeros(_SAMPLES, dtype=np.float32))


def silent_utterances(described: int, *, seed: int = 0) -> Iterator[Utterance]:
    """Training clips from the first on, until so many have a reference and a description."""
    index = 0
    while described:
        votes = typed_votes(index, "train", seed)
        counted = soft_label(votes, LABEL_SET)
        name = clip_id(index, "train")
        yield Utterance(
            utterance_id=name,
            dataset=DATASET,
            split="train",
            speaker=name.rpartition("-")[0],
            audio=_SILENCE,
            sampling_rate=SAMPLING_RATE,
            duration_s=_SAMPLES / SAMPLING_RATE,
            votes=votes,
            soft_label=counted.probs,
            plurality=counted.plurality,
            n_votes=counted.n_votes,
        )
        index += 1
        described -= counted.probs is not None and any(vote.typed for vote in votes)
