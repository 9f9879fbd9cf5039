"""Records to tables and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from raypipe.labels import LabelSet
from raypipe.records import (
    EmotionTokens,
    Failure,
    FloatArray,
    Generation,
    Hypothesis,
    Prediction,
    Utterance,
    Vote,
)
from raypipe.store.parquet import from_parquet_bytes, to_parquet_bytes
from raypipe.store.schemas import (
    ERRORS,
    GENERATIONS,
    PREDICTIONS,
    emotion_tokens_metadata,
    labels_metadata,
    with_metadata,
)

__all__ = [
    "Answered",
    "errors_table",
    "from_parquet_bytes",
    "generations_table",
    "predictions_table",
    "read_generations",
    "to_parquet_bytes",
    "utterance_from_row",
    "utterance_row",
]

MESSAGE_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Answered:
    """One input row and what became of it.

    Attributes:
        utterance: None if even the row could not be read; its audio is not kept.
        answer: what the model said, or why nothing could be said.
        heard_s: seconds of the clip that the model heard; None if it heard nothing.
    """

    utterance: Utterance | None
    answer: Generation | Failure
    heard_s: float | None = None


def utterance_row(utterance: Utterance) -> dict[str, Any]:
    """An utterance as the values of a shard row, by column."""
    row = {field.name: getattr(utterance, field.name) for field in fields(Utterance)}
    row["votes"] = [
        {field.name: getattr(vote, field.name) for field in fields(Vote)}
        for vote in utterance.votes
    ]
    return row


def utterance_from_row(row: Mapping[str, Any]) -> Utterance:
    """The utterance of a shard or ``generations/`` row, given as Python values by column."""
    return Utterance(
        utterance_id=row["utterance_id"],
        dataset=row["dataset"] or "",
        split=row["split"],
        speaker=row["speaker"],
        audio=row.get("audio", b""),
        sampling_rate=row["sampling_rate"] or 0,
        duration_s=row["duration_s"] or 0.0,
        transcript=row["transcript"],
        context=tuple(row["context"] or ()),
        votes=tuple(_vote_from_row(vote) for vote in row["votes"] or ()),
        soft_label=None if row["soft_label"] is None else tuple(row["soft_label"]),
        plurality=row["plurality"],
        n_votes=row["n_votes"] or 0,
        consensus=row.get("consensus"),
        **_attributes(row),
    )


def _vote_from_row(row: Mapping[str, Any]) -> Vote:
    return Vote(row["annotator"], tuple(row["labels"] or ()), row["typed"], **_attributes(row))


def _attributes(row: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: row.get(name) for name in ("arousal", "valence", "dominance")}


def generations_table(
    answered: Sequence[Answered],
    *,
    run: str,
    model: str,
    prompt: str,
    labels: LabelSet,
    emotion_tokens: EmotionTokens,
) -> pa.Table:
    """The ``generations/`` object of one shard: one row per input row, in the same order."""
    schema = with_metadata(
        GENERATIONS, {**labels_metadata(labels), **emotion_tokens_metadata(emotion_tokens)}
    )
    keys = {"run": run, "model": model, "prompt": prompt}
    rows = [{**keys, **_answer_row(one, emotion_tokens)} for one in answered]
    return pa.Table.from_pylist(rows, schema=schema)


def _answer_row(answered: Answered, emotion_tokens: EmotionTokens) -> dict[str, Any]:
    row = {} if answered.utterance is None else utterance_row(answered.utterance)
    answer = answered.answer
    if isinstance(answer, Failure):
        return {
            "utterance_id": answer.utterance_id,
            **row,
            "error_stage": answer.stage,
            "error_type": answer.error_type,
            "error_message": _short(answer.message),
        }
    return {
        **row,
        "hypotheses": [_hypothesis_row(one) for one in answer.hypotheses],
        "emotion_token_ids": emotion_tokens.token_ids,
        "emotion_token_strings": emotion_tokens.token_strings,
        "prompt_tokens": answer.prompt_tokens,
        "audio_tokens": answer.audio_tokens,
        "heard_s": answered.heard_s,
        "batch_size": answer.batch_size,
    }


def _hypothesis_row(hypothesis: Hypothesis) -> dict[str, Any]:
    row = {field.name: getattr(hypothesis, field.name) for field in fields(Hypothesis)}
    logits = hypothesis.emotion_logits
    row["emotion_logits"] = None if logits is None else list(logits)
    return row


def read_generations(
    table: pa.Table,
) -> Iterator[tuple[Utterance | None, tuple[Hypothesis, ...] | Failure]]:
    """The rows of a ``generations/`` table, in order.

    Yields:
        The utterance without its audio, None if the row could not be read; and its hypotheses, or
        the failure.
    """
    plain = table.drop_columns(["hypotheses"]).to_pylist()
    for row, hypotheses in zip(plain, _hypotheses(table), strict=True):
        # A failed row whose utterance could not be read has only its error columns.
        known = row["error_stage"] is None or row["sampling_rate"] is not None
        utterance = utterance_from_row(row) if known else None
        if row["error_stage"] is None:
            yield utterance, hypotheses
        else:
            yield (
                utterance,
                Failure(
                    row["utterance_id"],
                    row["error_stage"],
                    row["error_type"],
                    row["error_message"],
                ),
            )


def _hypotheses(table: pa.Table) -> Iterator[tuple[Hypothesis, ...]]:
    """Hypotheses of every row; logits stay arrays, as millions of floats need not be objects."""
    width = [len(ids or ()) for ids in table.column("emotion_token_ids").to_pylist()]
    row_number = 0
    for chunk in table.column("hypotheses").chunks:
        structs, bounds = chunk.values, chunk.offsets.to_numpy()
        names = [field.name for field in structs.type if field.name != "emotion_logits"]
        plain = {name: structs.field(name) for name in names}
        logits = structs.field("emotion_logits")
        for start, stop in pairwise(bounds):
            yield tuple(
                _hypothesis(
                    {name: plain[name][at].as_py() for name in names},
                    _matrix(logits, at, width[row_number]),
                )
                for at in range(start, stop)
            )
            row_number += 1


def _hypothesis(row: Mapping[str, Any], emotion_logits: FloatArray | None) -> Hypothesis:
    logprobs = row["token_logprobs"]
    return Hypothesis(
        kind=row["kind"],
        rank=row["rank"],
        text=row["text"],
        token_ids=tuple(row["token_ids"]),
        token_logprobs=None if logprobs is None else np.array(logprobs, dtype=np.float32),
        alpha=row["alpha"],
        finish_reason=row["finish_reason"],
        emotion_logits=emotion_logits,
        verifier_score=row["verifier_score"],
        verifier_text=row["verifier_text"],
    )


def _matrix(lists: pa.ListArray, at: int, width: int) -> FloatArray | None:
    """Entry ``at`` of a list<list<float>> array, shape ``(steps, width)``; None if null."""
    steps = lists[at].values
    if steps is None:
        return None
    values: FloatArray = steps.flatten().to_numpy(zero_copy_only=False)
    return values.astype(np.float32).reshape(len(steps), width)


def predictions_table(
    rows: Sequence[tuple[Utterance, Prediction]],
    *,
    run: str,
    model: str,
    prompt: str,
    labels: LabelSet,
    scores: Mapping[str, Sequence[float | None]],
) -> pa.Table:
    """The ``predictions/`` object of one shard: one row per utterance and strategy.

    Args:
        rows: utterances with one strategy's prediction each.
        run: short id of the run, kept in every row, as are ``model`` and ``prompt``.
        model: the model's name in the tables.
        prompt: the prompt's name in the tables.
        labels: what every distribution is aligned with.
        scores: per-utterance metrics by column name, each aligned with ``rows``; None where
            undefined. A column that is not given is null.
    """
    keys = {"run": run, "model": model, "prompt": prompt}
    table = [
        {
            **keys,
            **_prediction_row(utterance, prediction, labels),
            **{name: values[number] for name, values in scores.items()},
        }
        for number, (utterance, prediction) in enumerate(rows)
    ]
    return pa.Table.from_pylist(table, schema=with_metadata(PREDICTIONS, labels_metadata(labels)))


def _prediction_row(
    utterance: Utterance, prediction: Prediction, labels: LabelSet
) -> dict[str, Any]:
    row = {field.name: getattr(prediction, field.name) for field in fields(Prediction)}
    probs = prediction.probs
    return {
        **row,
        "predicted": None if probs is None else labels.names[int(np.argmax(probs))],
        "valid": prediction.valid,
        "utterance_id": utterance.utterance_id,
        "dataset": utterance.dataset,
        "split": utterance.split,
        "speaker": utterance.speaker,
        "soft_label": utterance.soft_label,
        "plurality": utterance.plurality,
        "n_votes": utterance.n_votes,
        "votes_union": _votes_union(utterance.votes, labels),
    }


def _votes_union(votes: Sequence[Vote], labels: LabelSet) -> list[str]:
    """Labels that any annotator gave, primary or secondary, in the label set's order."""
    given = {labels.index(word) for vote in votes for word in vote.labels}
    return [name for index, name in enumerate(labels.names) if index in given]


def errors_table(
    failures: Sequence[tuple[int | None, Failure]], *, run: str, shard: str | None, shard_rows: int
) -> pa.Table:
    """The ``errors/`` object of one shard.

    Args:
        failures: row number and failure; a row number of None stands for the whole shard.
        run: short id of the run.
        shard: name of the shard; None for inputs that are in no shard.
        shard_rows: number of inputs that a failure of the whole shard stands for.
    """
    rows = [
        {
            "run": run,
            "shard": shard,
            "utterance_id": failure.utterance_id,
            "row": row,
            "stage": failure.stage,
            "error_type": failure.error_type,
            "message": _short(failure.message),
            "utterances": shard_rows if row is None else 1,
        }
        for row, failure in failures
    ]
    return pa.Table.from_pylist(rows, schema=ERRORS)


def _short(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else f"{message[: MESSAGE_LIMIT - 3]}..."
