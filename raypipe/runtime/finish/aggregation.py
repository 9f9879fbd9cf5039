"""From a shard's ``generations/`` to its ``predictions/``: no model, no audio, no Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from raypipe.errors import RaypipeError, unexpected
from raypipe.labels import LabelSet
from raypipe.metrics.distribution import entropy_bits
from raypipe.metrics.registry import COLUMNS, per_utterance
from raypipe.prompts.options import options_for
from raypipe.records import (
    OWN_LABELS,
    AttributeAnswer,
    AttributeScales,
    EmotionTokens,
    Failure,
    LabelTable,
    Option,
    Prediction,
    Utterance,
)
from raypipe.runtime.finish.attributes import read_attributes
from raypipe.store.generations import StoredAnswer, read_generations
from raypipe.store.schemas import UTTERANCE_METRICS, option_order_of
from raypipe.store.tables import predictions_table
from raypipe.strategies import Variant, predict_variants
from raypipe.strategies.mean import ensemble
from raypipe.votes import VotePolicy


@dataclass(frozen=True, slots=True)
class Ensemble:
    """The mean over some prompts, as one more prompt of the tables.

    Attributes:
        name: how it is called there.
        prompts: what it is the mean of.
    """

    name: str
    prompts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PredictionsOf:
    """Whose predictions rows of the tables are.

    Attributes:
        run: short id of the run, kept in every row, as is ``model``.
        labels: what every distribution is aligned with.
        policy: how the corpus understands the words of its votes; None where it does not say.
    """

    run: str
    model: str
    labels: LabelSet
    policy: VotePolicy | None


@dataclass(frozen=True, slots=True)
class PredictionSettings(PredictionsOf):
    """All that predictions depend on beside the hypotheses themselves.

    Attributes:
        emotion_tokens: what the recorded logits are aligned with.
        variants: strategies with their settings, one prediction per utterance each.
        ensembles: means over prompts.
        truth: labels in the place of the utterances' own.
        attribute_scales: of the answers about attributes; None where they were not asked for.
    """

    emotion_tokens: EmotionTokens
    variants: tuple[Variant, ...]
    ensembles: tuple[Ensemble, ...] = ()
    truth: LabelTable = OWN_LABELS
    attribute_scales: AttributeScales | None = None


_Answer = tuple[Utterance, list[Prediction], AttributeAnswer | None] | Failure
Failed = tuple[int | None, Failure]
"""A failed row with its number; without one the whole shard has failed."""


def read_answers(
    generations: Mapping[str, pa.Table], settings: PredictionSettings
) -> dict[str, tuple[pa.Table, list[Failed]]]:
    """Predict from every answer of a shard.

    Args:
        generations: the shard's ``generations/`` rows by prompt, the same utterances in each.
        settings: how.

    Returns:
        By prompt, ensembles last: the ``predictions/`` table, and the rows that failed.
    """
    read = {prompt: _read(table, settings) for prompt, table in generations.items()}
    for mean in settings.ensembles:
        parts = [read[prompt] for prompt in mean.prompts]
        read[mean.name] = [
            _together(dict(zip(mean.prompts, row, strict=True))) for row in zip(*parts, strict=True)
        ]
    return {prompt: _tables(prompt, rows, settings) for prompt, rows in read.items()}


def _read(generations: pa.Table, settings: PredictionSettings) -> list[_Answer]:
    rows: list[_Answer] = []
    order = option_order_of(generations.schema)
    for utterance, answer in read_generations(generations):
        if isinstance(answer, Failure):
            rows.append(answer)
            continue
        assert utterance is not None  # only a failed row can lack its utterance
        options = options_for(order, settings.labels, utterance.utterance_id)
        rows.append(_predicted(settings.truth.relabelled(utterance), answer, options, settings))
    return rows


def _predicted(
    utterance: Utterance,
    answer: StoredAnswer,
    options: tuple[Option, ...],
    settings: PredictionSettings,
) -> _Answer:
    """An utterance's predictions; one that cannot be predicted costs no other."""
    try:
        predictions = predict_variants(
            answer.hypotheses,
            settings.variants,
            settings.labels,
            settings.emotion_tokens,
            answer.questions,
            options,
        )
    except RaypipeError:
        raise
    except Exception as error:  # about a text that nobody foresaw
        return Failure(utterance.utterance_id, "aggregate", *unexpected(error))
    scales = settings.attribute_scales
    attributes = None
    if scales is not None:
        attributes = read_attributes(answer.hypotheses, answer.questions, scales)
    return utterance, predictions, attributes


def _together(row: Mapping[str, _Answer]) -> _Answer:
    """The mean over the prompts that were answered; the first failure if none was."""
    answered = {prompt: answer for prompt, answer in row.items() if not isinstance(answer, Failure)}
    if not answered:
        return next(answer for answer in row.values() if isinstance(answer, Failure))
    utterance, _, _ = next(iter(answered.values()))
    return utterance, ensemble({prompt: made for prompt, (_, made, _) in answered.items()}), None


def _tables(
    prompt: str, answers: Sequence[_Answer], settings: PredictionSettings
) -> tuple[pa.Table, list[Failed]]:
    rows: list[tuple[Utterance, Prediction]] = []
    failures: list[Failed] = []
    told: dict[str, AttributeAnswer] = {}
    for index, answer in enumerate(answers):
        if isinstance(answer, Failure):
            failures.append((index, answer))
        else:
            utterance, predictions, attributes = answer
            rows.extend((utterance, prediction) for prediction in predictions)
            if attributes is not None:
                told[utterance.utterance_id] = attributes
    return scored_predictions(rows, settings, prompt, told), failures


def scored_predictions(
    rows: Sequence[tuple[Utterance, Prediction]],
    settings: PredictionsOf,
    prompt: str,
    attributes: Mapping[str, AttributeAnswer] = MappingProxyType({}),
) -> pa.Table:
    """Rows of ``predictions/`` with the metrics of every utterance.

    Args:
        rows: utterances with one prediction each, those of one utterance together.
        settings: whose predictions they are.
        prompt: name of the prompt in the tables.
        attributes: what the model says of arousal, valence and dominance, by utterance id.
    """
    return predictions_table(
        rows,
        run=settings.run,
        model=settings.model,
        prompt=prompt,
        labels=settings.labels,
        scores=_scores(rows),
        policy=settings.policy,
        attributes=attributes,
    )


def _scores(rows: Sequence[tuple[Utterance, Prediction]]) -> dict[str, list[float | None]]:
    """Per-utterance metrics of every row, None where there is no label or no prediction."""
    columns: dict[str, list[float | None]] = {
        name: [None] * len(rows) for name in UTTERANCE_METRICS
    }
    scored = [
        index
        for index, (utterance, prediction) in enumerate(rows)
        if utterance.soft_label is not None and prediction.valid
    ]
    if scored:
        truth = np.array([rows[index][0].soft_label for index in scored], dtype=np.float64)
        guess = np.array([rows[index][1].probs for index in scored], dtype=np.float64)
        metrics = per_utterance(truth, guess)
        columns |= {name: _spread(metrics[name], scored, len(rows)) for name in COLUMNS}
    labelled = [index for index, (utterance, _) in enumerate(rows) if utterance.soft_label]
    if labelled:
        soft = np.array([rows[index][0].soft_label for index in labelled], dtype=np.float64)
        columns["true_entropy"] = _spread(entropy_bits(soft), labelled, len(rows))
    return columns


def _spread(values: np.ndarray, where: Sequence[int], length: int) -> list[float | None]:
    column: list[float | None] = [None] * length
    for index, value in zip(where, values.tolist(), strict=True):
        column[index] = None if np.isnan(value) else value
    return column
