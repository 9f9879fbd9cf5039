"""Records to tables and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from raypipe.labels import LabelSet
from raypipe.records import (
    ATTRIBUTES,
    AskedQuestion,
    AttributeAnswer,
    AudioMarks,
    Failure,
    Prediction,
    Utterance,
    Vote,
)
from raypipe.store.schemas import (
    ERRORS,
    PREDICTIONS,
    labels_metadata,
    with_metadata,
)
from raypipe.store.strict import table_from_rows
from raypipe.votes import VotePolicy, labels_given, plurality

MESSAGE_LIMIT = 500


def utterance_row(utterance: Utterance) -> dict[str, object]:
    """An utterance as the values of a shard row, by column."""
    row = {field.name: getattr(utterance, field.name) for field in fields(Utterance)}
    row["votes"] = [plain_values(vote) for vote in utterance.votes]
    row["audio_marks"] = (
        None if utterance.audio_marks is None else plain_values(utterance.audio_marks)
    )
    row["facts"] = list(utterance.facts.items()) or None
    return row


def plain_values(record: Vote | AudioMarks | AskedQuestion) -> dict[str, object]:
    """Fields of a record by name."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


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
        audio_marks=None if row.get("audio_marks") is None else AudioMarks(**row["audio_marks"]),
        facts=dict(row.get("facts") or ()),
        **_attributes(row),
    )


def _vote_from_row(row: Mapping[str, Any]) -> Vote:
    return Vote(row["annotator"], tuple(row["labels"] or ()), row["typed"], **_attributes(row))


def _attributes(row: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: row.get(name) for name in ("arousal", "valence", "dominance")}


def predictions_table(
    rows: Sequence[tuple[Utterance, Prediction]],
    *,
    run: str,
    model: str,
    prompt: str,
    labels: LabelSet,
    scores: Mapping[str, Sequence[float | None]],
    policy: VotePolicy | None = None,
    attributes: Mapping[str, AttributeAnswer] = MappingProxyType({}),
) -> pa.Table:
    """The ``predictions/`` object of one shard: one row per utterance and strategy.

    Args:
        rows: utterances with one strategy's prediction each.
        run: short id of the run, kept in every row, as are ``model`` and ``prompt``.
        model: the model's name in the tables.
        prompt: the prompt's name in the tables.
        labels: what every distribution is aligned with.
        scores: every per-utterance metric by column name, each aligned with ``rows``; None where
            undefined.
        policy: how the corpus understands the words of its votes; default: the default policy.
        attributes: what the model says of arousal, valence and dominance, by utterance id.
    """
    policy = policy or VotePolicy()
    keys = {"run": run, "model": model, "prompt": prompt, "labels": labels.names}
    table: list[dict[str, object]] = []
    known: Utterance | None = None
    truth: dict[str, object] = {}
    for number, (utterance, prediction) in enumerate(rows):
        if utterance is not known:  # its rows stand together
            known, truth = utterance, _truth_row(utterance, labels, policy)
            truth |= _attributes_row(attributes.get(utterance.utterance_id))
        own = {name: values[number] for name, values in scores.items()}
        table.append({**keys, **truth, **_prediction_row(prediction, labels), **own})
    return table_from_rows(table, with_metadata(PREDICTIONS, labels_metadata(labels)))


_PREDICTION = tuple(field.name for field in fields(Prediction))


def _prediction_row(prediction: Prediction, labels: LabelSet) -> dict[str, object]:
    row = {name: getattr(prediction, name) for name in _PREDICTION}
    probs = prediction.probs
    row["predicted"] = None if probs is None else plurality(probs.tolist(), labels)
    row["valid"] = prediction.valid
    row["covariance"] = None if prediction.covariance is None else list(prediction.covariance)
    return row


def _truth_row(utterance: Utterance, labels: LabelSet, policy: VotePolicy) -> dict[str, object]:
    """What every prediction of an utterance says of the utterance itself."""
    return {
        "utterance_id": utterance.utterance_id,
        "dataset": utterance.dataset,
        "split": utterance.split,
        "speaker": utterance.speaker,
        "duration_s": utterance.duration_s,
        "soft_label": utterance.soft_label,
        "plurality": utterance.plurality,
        "n_votes": utterance.n_votes,
        "votes_union": labels_given(utterance.votes, labels, policy),
        "votes_primary": labels_given(utterance.votes, labels, policy, "primary"),
        "audio_marks": None
        if utterance.audio_marks is None
        else plain_values(utterance.audio_marks),
        "facts": list(utterance.facts.items()) or None,
        **{name: getattr(utterance, name) for name in ATTRIBUTES},
    }


def _attributes_row(answer: AttributeAnswer | None) -> dict[str, object]:
    ratings = None if answer is None else answer.ratings
    return {
        **{
            f"predicted_{name}": None if ratings is None else ratings[place]
            for place, name in enumerate(ATTRIBUTES)
        },
        "attributes_reason": None if answer is None else answer.reason,
    }


def errors_table(
    failures: Sequence[tuple[int | None, Failure]],
    *,
    run: str,
    shard: str | None,
    shard_rows: int,
    model: str | None = None,
    prompt: str | None = None,
) -> pa.Table:
    """The ``errors/`` object of one shard.

    Args:
        failures: row number and failure; a row number of None stands for the whole shard.
        run: short id of the run.
        shard: name of the shard; None for inputs that are in no shard.
        shard_rows: number of inputs that a failure of the whole shard stands for.
        model: that failed, or was not reached; None before there is one.
        prompt: that it was to answer; None before there is one.
    """
    rows = [
        {
            "run": run,
            "shard": shard,
            "utterance_id": _storable(failure.utterance_id),
            "row": row,
            "stage": failure.stage,
            "error_type": failure.error_type,
            "message": _storable(short_message(failure.message)),
            "utterances": shard_rows if row is None else 1,
            "model": model,
            "prompt": prompt,
            "refusal": failure.is_refusal,
        }
        for row, failure in failures
    ]
    return table_from_rows(rows, ERRORS)


def short_message(message: str) -> str:
    """A message of at most :data:`MESSAGE_LIMIT` characters."""
    return message if len(message) <= MESSAGE_LIMIT else f"{message[: MESSAGE_LIMIT - 3]}..."


def _storable(text: str | None) -> str | None:
    """A text with what is not Unicode escaped: the name of a failed input may be damaged itself."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()
