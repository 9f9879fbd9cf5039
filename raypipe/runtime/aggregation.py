"""From a shard's ``generations/`` to its ``predictions/``: no model, no audio, no Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from raypipe.labels import LabelSet
from raypipe.metrics.distribution import entropy_bits, per_utterance
from raypipe.records import EmotionTokens, Failure, Prediction, Utterance
from raypipe.store.tables import predictions_table, read_generations
from raypipe.strategies import Variant, predict_variants
from raypipe.votes import VotePolicy


@dataclass(frozen=True, slots=True)
class Reading:
    """All that predictions depend on beside the hypotheses themselves.

    Attributes:
        run: short id of the run, kept in every row, as are ``model`` and ``prompt``.
        labels: what every distribution is aligned with.
        policy: how the corpus understands the words of its votes; None where it does not say.
        emotion_tokens: what the recorded logits are aligned with.
        variants: strategies with their settings, one prediction per utterance each.
    """

    run: str
    model: str
    prompt: str
    labels: LabelSet
    policy: VotePolicy | None
    emotion_tokens: EmotionTokens
    variants: tuple[Variant, ...]


def read_answers(
    generations: pa.Table, reading: Reading
) -> tuple[pa.Table, list[tuple[int | None, Failure]]]:
    """Predict from every answer of a shard.

    Args:
        generations: the shard's ``generations/`` rows.
        reading: how.

    Returns:
        The ``predictions/`` table, and the failed rows with their numbers.
    """
    rows: list[tuple[Utterance, Prediction]] = []
    failures: list[tuple[int | None, Failure]] = []
    for index, (utterance, answer) in enumerate(read_generations(generations)):
        if isinstance(answer, Failure):
            failures.append((index, answer))
            continue
        assert utterance is not None  # only a failed row can lack its utterance
        predictions = predict_variants(
            answer, reading.variants, reading.labels, reading.emotion_tokens
        )
        rows.extend((utterance, one) for one in predictions)
    table = predictions_table(
        rows,
        run=reading.run,
        model=reading.model,
        prompt=reading.prompt,
        labels=reading.labels,
        scores=_scores(rows),
        policy=reading.policy,
    )
    return table, failures


def _scores(rows: Sequence[tuple[Utterance, Prediction]]) -> dict[str, list[float | None]]:
    """Per-utterance metrics of every row, None where there is no label or no prediction."""
    scored = [
        index
        for index, (utterance, prediction) in enumerate(rows)
        if utterance.soft_label is not None and prediction.valid
    ]
    columns: dict[str, list[float | None]] = {}
    truth = np.array([rows[index][0].soft_label for index in scored], dtype=np.float64)
    guess = np.array([rows[index][1].probs for index in scored], dtype=np.float64)
    if scored:
        for metric, values in per_utterance(truth, guess).items():
            columns[metric] = _spread(values, scored, len(rows))
    labelled = [index for index, (utterance, _) in enumerate(rows) if utterance.soft_label]
    soft = np.array([rows[index][0].soft_label for index in labelled], dtype=np.float64)
    if labelled:
        columns["true_entropy"] = _spread(entropy_bits(soft), labelled, len(rows))
    return columns


def _spread(values: np.ndarray, where: Sequence[int], length: int) -> list[float | None]:
    column: list[float | None] = [None] * length
    for index, value in zip(where, values.tolist(), strict=True):
        column[index] = None if np.isnan(value) else value
    return column
