"""Strategy ``sample_mean``: the mean of what sampled answers say, each weighing the same."""

from __future__ import annotations

import numpy as np

from raypipe.records import Prediction
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.making import invalid, mixture
from raypipe.strategies.shared import MAX_DROPPED_SHARE, TAU
from raypipe.strategies.strategy import Strategy


def _predict(answers: WindowAnswers) -> Prediction:
    samples = answers.of_kind("sample")
    if not samples:
        return invalid("no_samples")
    valid = [sample for sample in samples if sample.parsed.probs is not None]
    if not valid:
        return invalid("no_valid_sample", samples)
    weights = np.full(len(valid), 1.0 / len(valid))
    return mixture(valid, weights, answers.settings, "uniform")


STRATEGY = Strategy(
    name="sample_mean",
    summary="the mean of a Dirichlet mixture of all samples, each weighing the same",
    source="",
    rank=67,
    questions=("samples",),
    predict=_predict,
    reads_logits=False,
    settings=(MAX_DROPPED_SHARE, TAU),
)
