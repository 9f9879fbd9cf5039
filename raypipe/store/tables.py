"""Records to tables and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raypipe.labels import LabelSet
from raypipe.records import (
    AskedQuestion,
    AudioMarks,
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
from raypipe.store.strict import table_from_rows
from raypipe.votes import VotePolicy, labels_given

__all__ = [
    "Answered",
    "StoredAnswer",
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
    row["votes"] = [_plain(vote) for vote in utterance.votes]
    row["audio_marks"] = None if utterance.audio_marks is None else _plain(utterance.audio_marks)
    row["facts"] = list(utterance.facts.items()) or None
    return row


def _plain(record: Vote | AudioMarks | AskedQuestion) -> dict[str, Any]:
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
    empty = dict.fromkeys(GENERATIONS.names)
    rows = [{**empty, **keys, **_answer_row(answer, emotion_tokens)} for answer in answered]
    return table_from_rows(rows, schema)


def _answer_row(answered: Answered, emotion_tokens: EmotionTokens) -> dict[str, Any]:
    row = {} if answered.utterance is None else _kept_row(answered.utterance)
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
        "questions": [_plain(asked) for asked in answer.questions],
        "hypotheses": [_hypothesis_row(hypothesis) for hypothesis in answer.hypotheses],
        "emotion_logits": [_logits_row(hypothesis) for hypothesis in answer.hypotheses],
        "emotion_token_ids": emotion_tokens.token_ids,
        "emotion_token_strings": emotion_tokens.token_strings,
        "prompt_tokens": answer.prompt_tokens,
        "audio_tokens": answer.audio_tokens,
        "heard_s": answered.heard_s,
        "batch_size": answer.batch_size,
    }


# What of an utterance is not carried along: the audio, and what only the shards tell.
_NOT_KEPT = {"audio", "consensus", "arousal", "valence", "dominance"}


def _kept_row(utterance: Utterance) -> dict[str, Any]:
    row = utterance_row(utterance)
    return {name: value for name, value in row.items() if name not in _NOT_KEPT}


_HYPOTHESIS = tuple(field.name for field in fields(Hypothesis) if field.name != "emotion_logits")


def _hypothesis_row(hypothesis: Hypothesis) -> dict[str, Any]:
    return {name: getattr(hypothesis, name) for name in _HYPOTHESIS}


def _logits_row(hypothesis: Hypothesis) -> list[Any] | None:
    logits = hypothesis.emotion_logits
    return None if logits is None else list(logits)


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What a row of ``generations/`` says of a model's answers.

    Attributes:
        hypotheses: of every question and window.
        questions: what was asked; of version 1, only what failed.
    """

    hypotheses: tuple[Hypothesis, ...]
    questions: tuple[AskedQuestion, ...]


def read_generations(table: pa.Table) -> Iterator[tuple[Utterance | None, StoredAnswer | Failure]]:
    """The rows of a ``generations/`` table, in order.

    Yields:
        The utterance without its audio, None if the row could not be read; and what was answered,
        or the failure.
    """
    heavy = [name for name in ("hypotheses", "emotion_logits") if name in table.column_names]
    plain = table.drop_columns(heavy).to_pylist()
    for row, hypotheses in zip(plain, _hypotheses(table), strict=True):
        # A failed row whose utterance could not be read has only its error columns.
        known = row["error_stage"] is None or row["sampling_rate"] is not None
        utterance = utterance_from_row(row) if known else None
        if row["error_stage"] is None:
            yield utterance, _stored_answer(row, hypotheses)
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


def _stored_answer(row: Mapping[str, Any], hypotheses: Sequence[Hypothesis]) -> StoredAnswer:
    asked = [AskedQuestion(**question) for question in row.get("questions") or ()]
    answers = []
    for hypothesis in hypotheses:
        # Version 1 kept a question that failed in the place of its answer.
        if str(hypothesis.finish_reason) == "failed":
            asked.append(_failed_question(hypothesis))
        else:
            answers.append(hypothesis)
    return StoredAnswer(tuple(answers), tuple(asked))


def _failed_question(hypothesis: Hypothesis) -> AskedQuestion:
    error_type, _, message = hypothesis.text.partition(": ")
    return AskedQuestion(
        question="beams" if hypothesis.kind == "beam" else hypothesis.kind,
        window=hypothesis.window,
        window_s=hypothesis.window_s,
        beam_count=hypothesis.beam_count,
        error_type=error_type,
        error_message=message,
    )


def _hypotheses(table: pa.Table) -> Iterator[tuple[Hypothesis, ...]]:
    """Hypotheses of every row; logits stay arrays, as millions of floats need not be objects."""
    lists = _one_array(table.column("hypotheses"))
    structs = lists.flatten()
    column = {field.name: structs.field(field.name) for field in structs.type}
    # Version 1 kept the logits inside the hypotheses.
    logits = column.pop("emotion_logits", None)
    if "emotion_logits" in table.column_names:
        logits = _one_array(table.column("emotion_logits")).flatten()
    logits = _Lists(logits)
    logprobs = _Lists(column.pop("token_logprobs", None))
    names, columns = list(column), [values.to_pylist() for values in column.values()]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    counts = pc.list_value_length(lists).fill_null(0).to_pylist()
    widths = [len(ids or ()) for ids in table.column("emotion_token_ids").to_pylist()]
    prompts = table.column("prompt_tokens").to_pylist()
    stop = 0
    for count, width, prompt in zip(counts, widths, prompts, strict=True):
        start, stop = stop, stop + count
        yield tuple(
            _hypothesis(rows[at], logprobs.at(at), logits.at(at, width), prompt)
            for at in range(start, stop)
        )


def _one_array(column: pa.ChunkedArray) -> pa.ListArray:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _hypothesis(
    row: Mapping[str, Any],
    logprobs: FloatArray | None,
    emotion_logits: FloatArray | None,
    prompt_tokens: int | None,
) -> Hypothesis:
    return Hypothesis(
        kind=row["kind"],
        rank=row["rank"],
        text=row["text"],
        token_ids=tuple(row["token_ids"]),
        token_logprobs=logprobs,
        alpha=row["alpha"],
        finish_reason=row["finish_reason"],
        emotion_logits=emotion_logits,
        verifier_score=row["verifier_score"],
        verifier_text=row.get("verifier_text"),
        # Objects written before these fields existed hold searched beams with raw logits.
        alpha_kind=row.get("alpha_kind") or "sum_logprob",
        emotion_kind=row.get("emotion_kind") or "logit",
        sampled=bool(row.get("sampled")),
        step_count=row.get("step_count"),
        verifier_error=row.get("verifier_error"),
        verifier_call=row.get("verifier_call"),
        verifier_tokens=row.get("verifier_tokens"),
        # A row of then holds the answers to one question.
        prompt_tokens=row.get("prompt_tokens", prompt_tokens),
        beam_count=row.get("beam_count"),
        window=row.get("window") or 0,
        window_s=row.get("window_s"),
        search_score=row.get("search_score"),
    )


class _Lists:
    """Entries of a list<float> or list<list<float>> array as arrays, without a copy.

    Args:
        lists: None for a column that was not read: then every entry is None.
    """

    def __init__(self, lists: pa.ListArray | None) -> None:
        self._known = np.zeros(0, dtype=np.bool_)
        if lists is None:
            return
        self._known = np.asarray(lists.is_valid().to_numpy(zero_copy_only=False))
        self._bounds = lists.offsets.to_numpy()
        self._places, values = self._bounds, lists.values
        if pa.types.is_list(values.type):
            self._places, values = values.offsets.to_numpy()[self._bounds], values.values
        self._values: FloatArray = values.to_numpy(zero_copy_only=False)

    def at(self, index: int, width: int | None = None) -> FloatArray | None:
        """One entry, shape ``(entries,)`` or ``(entries, width)``; None if null."""
        if not self._known.size or not self._known[index]:
            return None
        entry = self._values[self._places[index] : self._places[index + 1]]
        length = self._bounds[index + 1] - self._bounds[index]
        return entry if width is None else entry.reshape(length, width)


def predictions_table(
    rows: Sequence[tuple[Utterance, Prediction]],
    *,
    run: str,
    model: str,
    prompt: str,
    labels: LabelSet,
    scores: Mapping[str, Sequence[float | None]],
    policy: VotePolicy | None = None,
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
    """
    policy = policy or VotePolicy()
    keys = {"run": run, "model": model, "prompt": prompt}
    table: list[dict[str, Any]] = []
    known: Utterance | None = None
    truth: dict[str, Any] = {}
    for number, (utterance, prediction) in enumerate(rows):
        if utterance is not known:  # its rows stand together
            known, truth = utterance, _truth_row(utterance, labels, policy)
        own = {name: values[number] for name, values in scores.items()}
        table.append({**keys, **truth, **_prediction_row(prediction, labels), **own})
    return table_from_rows(table, with_metadata(PREDICTIONS, labels_metadata(labels)))


_PREDICTION = tuple(field.name for field in fields(Prediction))


def _prediction_row(prediction: Prediction, labels: LabelSet) -> dict[str, Any]:
    row = {name: getattr(prediction, name) for name in _PREDICTION}
    probs = prediction.probs
    row["predicted"] = None if probs is None else labels.names[int(np.argmax(probs))]
    row["valid"] = prediction.valid
    return row


def _truth_row(utterance: Utterance, labels: LabelSet, policy: VotePolicy) -> dict[str, Any]:
    """What every prediction of an utterance says of the utterance itself."""
    return {
        "utterance_id": utterance.utterance_id,
        "dataset": utterance.dataset,
        "split": utterance.split,
        "speaker": utterance.speaker,
        "soft_label": utterance.soft_label,
        "plurality": utterance.plurality,
        "n_votes": utterance.n_votes,
        "votes_union": labels_given(utterance.votes, labels, policy),
        "audio_marks": None if utterance.audio_marks is None else _plain(utterance.audio_marks),
        "facts": list(utterance.facts.items()) or None,
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
        prompt: that it was to answer; likewise.
    """
    rows = [
        {
            "run": run,
            "shard": shard,
            "utterance_id": _storable(failure.utterance_id),
            "row": row,
            "stage": failure.stage,
            "error_type": failure.error_type,
            "message": _storable(_short(failure.message)),
            "utterances": shard_rows if row is None else 1,
            "model": model,
            "prompt": prompt,
        }
        for row, failure in failures
    ]
    return table_from_rows(rows, ERRORS)


def _short(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else f"{message[: MESSAGE_LIMIT - 3]}..."


def _storable(text: str | None) -> str | None:
    """A text with what is not Unicode escaped: the name of a failed input may be damaged itself."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()
