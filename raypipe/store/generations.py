"""``generations/``: what a model answered, as a table and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raypipe.labels import LabelSet
from raypipe.records import (
    AskedQuestion,
    EmotionTokens,
    Failure,
    FloatArray,
    Generation,
    Hypothesis,
    OptionOrder,
    Utterance,
)
from raypipe.store.schemas import (
    GENERATIONS,
    emotion_tokens_metadata,
    labels_metadata,
    options_metadata,
    with_metadata,
)
from raypipe.store.strict import table_from_rows
from raypipe.store.tables import plain_values, short_message, utterance_from_row, utterance_row


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


def generations_table(
    answered: Sequence[Answered],
    *,
    run: str,
    model: str,
    prompt: str,
    labels: LabelSet,
    emotion_tokens: EmotionTokens,
    options: OptionOrder | None = None,
) -> pa.Table:
    """The ``generations/`` object of one shard: one row per input row, in the same order."""
    schema = with_metadata(
        GENERATIONS,
        {
            **labels_metadata(labels),
            **emotion_tokens_metadata(emotion_tokens),
            **options_metadata(options),
        },
    )
    keys = {"run": run, "model": model, "prompt": prompt, "labels": labels.names}
    empty = dict.fromkeys(GENERATIONS.names)
    rows = [{**empty, **keys, **_answer_row(answer, emotion_tokens)} for answer in answered]
    return table_from_rows(rows, schema)


_SHARD_FAILURE = b"raypipe.shard_failure"


def with_shard_failure(generations: pa.Table, failure: Failure | None) -> pa.Table:
    """Keep why a whole shard failed beside its (no) rows, so that errors/ can be made again."""
    if failure is None:
        return generations
    value = json.dumps([failure.stage, failure.error_type, failure.message])
    return generations.replace_schema_metadata(
        {**(generations.schema.metadata or {}), _SHARD_FAILURE: value.encode()}
    )


def shard_failure(generations: pa.Table) -> Failure | None:
    """Why the whole shard failed; None if it did not."""
    value = (generations.schema.metadata or {}).get(_SHARD_FAILURE)
    return None if value is None else Failure(None, *json.loads(value))


def _answer_row(answered: Answered, emotion_tokens: EmotionTokens) -> dict[str, object]:
    row = {} if answered.utterance is None else _kept_row(answered.utterance)
    answer = answered.answer
    if isinstance(answer, Failure):
        return {
            "utterance_id": answer.utterance_id,
            **row,
            "error_stage": answer.stage,
            "error_type": answer.error_type,
            "error_message": short_message(answer.message),
        }
    return {
        **row,
        "questions": [plain_values(asked) for asked in answer.questions],
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
_NOT_KEPT = {"audio", "consensus"}


def _kept_row(utterance: Utterance) -> dict[str, object]:
    row = utterance_row(utterance)
    return {name: value for name, value in row.items() if name not in _NOT_KEPT}


_HYPOTHESIS = tuple(field.name for field in fields(Hypothesis) if field.name != "emotion_logits")


def _hypothesis_row(hypothesis: Hypothesis) -> dict[str, object]:
    return {name: getattr(hypothesis, name) for name in _HYPOTHESIS}


def _logits_row(hypothesis: Hypothesis) -> list[FloatArray] | None:
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
