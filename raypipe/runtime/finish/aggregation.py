"""From a shard's ``generations/`` to its ``predictions/``: no model, no audio, no Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from raypipe.strategies.fitting import CorpusFit
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


Fits = Mapping[str, CorpusFit]
"""Parameters of the fitted strategies among some variants, by the variants' names."""


@dataclass(frozen=True, slots=True)
class PredictionSettings(PredictionsOf):
    """All that predictions depend on beside the hypotheses themselves.

    Attributes:
        emotion_tokens: what the recorded logits are aligned with.
        variants: strategies with their settings, one prediction per utterance each.
        ensembles: means over prompts.
        truth: labels in the place of the utterances' own.
        fits: of the fitted strategies among ``variants``, by prompt.
        attribute_scales: of the answers about attributes; None where they were not asked for.
    """

    emotion_tokens: EmotionTokens
    variants: tuple[Variant, ...]
    ensembles: tuple[Ensemble, ...] = ()
    truth: LabelTable = OWN_LABELS
    fits: Mapping[str, Fits] = field(default_factory=dict)
    attribute_scales: AttributeScales | None = None


AnsweredRow = tuple[Utterance, list[Prediction], AttributeAnswer | None] | Failure
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
    read = read_predictions(generations, settings, settings.variants)
    return {
        prompt: _tables(prompt, _with_fits(rows, settings.fits.get(prompt, {}), settings), settings)
        for prompt, rows in read.items()
    }


def read_predictions(
    generations: Mapping[str, pa.Table],
    settings: PredictionSettings,
    variants: Sequence[Variant],
) -> dict[str, list[AnsweredRow]]:
    """What every strategy says of every answer of a shard; a fitted one what its base says.

    Args:
        generations: the shard's ``generations/`` rows by prompt, the same utterances in each.
        settings: how.
        variants: strategies with their settings, in the place of those of ``settings``.

    Returns:
        By prompt, ensembles last, one per row: the utterance and a prediction per variant, or
        why there is none.
    """
    bases = [variant.base for variant in variants]
    read = {prompt: _read(table, bases, settings) for prompt, table in generations.items()}
    for mean in settings.ensembles:
        parts = [read[prompt] for prompt in mean.prompts]
        read[mean.name] = [
            _together(dict(zip(mean.prompts, row, strict=True))) for row in zip(*parts, strict=True)
        ]
    return read


def _with_fits(
    rows: Sequence[AnsweredRow], fits: Fits, settings: PredictionSettings
) -> Sequence[AnsweredRow]:
    """The same with fitted strategies in the place of their bases."""
    if not fits:
        return rows
    fitted: list[AnsweredRow] = []
    for row in rows:
        if isinstance(row, Failure):
            fitted.append(row)
            continue
        utterance, predictions, attributes = row
        own = (_with_fit(utterance, each, fits, settings.labels) for each in predictions)
        fitted.append((utterance, [each for each in own if each is not None], attributes))
    return fitted


def _with_fit(
    utterance: Utterance, prediction: Prediction, fits: Fits, labels: LabelSet
) -> Prediction | None:
    fit = fits.get(prediction.strategy)
    if fit is None:
        return prediction
    return fit.predict(prediction, labels, speaker=utterance.speaker, split=utterance.split)


def _read(
    generations: pa.Table, variants: Sequence[Variant], settings: PredictionSettings
) -> list[AnsweredRow]:
    rows: list[AnsweredRow] = []
    order = option_order_of(generations.schema)
    for utterance, answer in read_generations(generations):
        if isinstance(answer, Failure):
            rows.append(answer)
            continue
        assert utterance is not None  # only a failed row can lack its utterance
        options = options_for(order, settings.labels, utterance.utterance_id)
        relabelled = settings.truth.relabelled(utterance)
        rows.append(_predicted(relabelled, answer, options, variants, settings))
    return rows


def _predicted(
    utterance: Utterance,
    answer: StoredAnswer,
    options: tuple[Option, ...],
    variants: Sequence[Variant],
    settings: PredictionSettings,
) -> AnsweredRow:
    """An utterance's predictions; one that cannot be predicted costs no other."""
    try:
        predictions = predict_variants(
            answer.hypotheses,
            variants,
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


def _together(row: Mapping[str, AnsweredRow]) -> AnsweredRow:
    """The mean over the prompts that were answered; the first failure if none was."""
    answered = {prompt: answer for prompt, answer in row.items() if not isinstance(answer, Failure)}
    if not answered:
        return next(answer for answer in row.values() if isinstance(answer, Failure))
    utterance, _, _ = next(iter(answered.values()))
    return utterance, ensemble({prompt: made for prompt, (_, made, _) in answered.items()}), None


def _tables(
    prompt: str, answers: Sequence[AnsweredRow], settings: PredictionSettings
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
