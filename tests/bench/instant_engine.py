"""An engine that answers at once: what a run costs with it, a run costs beside its model.

Answers have the size of a model's, greedy and beams of :data:`STEPS` tokens with recorded logits.
It is offered to other processes by :func:`offer_in`, and a config calls it
``model: {engine: instant, path: none}``.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence

import numpy as np
from fake_engine import FakeEngine, FakeFrontend, FakeInput, FakeOptions

from raypipe.engines.plugins import EnginePlugin, EngineSettings
from raypipe.labels import LabelSet
from raypipe.records import EmotionTokens, EmotionWord, Failure, Generation, Hypothesis, Search

LIGHT = "RAYPIPE_BENCH_LIGHT"
"""Environment variable that makes answers short."""

STEPS, LOGITS = (6, 6) if LIGHT in os.environ else (50, 20)
"""Tokens of an answer, and recorded logits of each."""

DIFFERENT = 64
"""Sets of answers; an utterance's id says which one it gets."""


class InstantFrontend(FakeFrontend):
    """The CPU half, with as many words as a model's tokenizer has for a set of labels."""

    def emotion_tokens(self, labels: LabelSet) -> EmotionTokens:
        ids = tuple(range(LOGITS))
        named = [(labels.names[at % len(labels)], f"word{at}") for at in ids]
        words = tuple(EmotionWord(label, word, (at,)) for at, (label, word) in enumerate(named))
        return EmotionTokens(words, ids, tuple(word for _, word in named))


class InstantEngine(FakeEngine):
    """The accelerator half: every answer is made once and given again and again."""

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._known: dict[Search, list[tuple[Hypothesis, ...]]] = {}

    def generate(self, inputs: Sequence[FakeInput], search: Search) -> list[Generation | Failure]:
        if search not in self._known:
            self._known[search] = [_answers(search, number) for number in range(DIFFERENT)]
        known, names = self._known[search], [item.utterance_id for item in inputs]
        return [
            Generation(name, known[zlib.crc32(name.encode()) % DIFFERENT], 180, 62, STEPS)
            for name in names
        ]


def _answers(search: Search, number: int) -> tuple[Hypothesis, ...]:
    rng = np.random.default_rng(number)
    kinds = [("greedy", 0)] * search.greedy
    kinds += [("beam", rank) for rank in range(search.beam_count)]
    return tuple(_hypothesis(kind, rank, rng) for kind, rank in kinds)


def _hypothesis(kind: str, rank: int, rng: np.random.Generator) -> Hypothesis:
    names = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
    shares = dict(zip(names, rng.dirichlet(np.ones(len(names))).round(3).tolist(), strict=True))
    logprobs = -rng.exponential(0.15, STEPS).astype(np.float32)
    return Hypothesis(
        kind=kind,
        rank=rank,
        text=json.dumps(shares),
        token_ids=tuple(rng.integers(0, 150_000, STEPS).tolist()),
        token_logprobs=logprobs,
        alpha=float(logprobs.sum(dtype=np.float64)) - rank,
        finish_reason="stop",
        emotion_logits=rng.normal(8.0, 3.0, (STEPS, LOGITS)).astype(np.float32),
    )


PLUGIN = EnginePlugin(
    frontend=InstantFrontend,
    engine=InstantEngine,
    capabilities=FakeEngine.capabilities,
    options=FakeOptions,
)
