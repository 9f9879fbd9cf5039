"""What happens to one shard of a rationale job, as plain functions that know nothing of Ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raypipe.engines.contract import Tagged
from raypipe.errors import ShardError
from raypipe.explain.rationale.guess import guess_prompt, guessed_label
from raypipe.explain.rationale.rounds import Rationale, ask_teacher
from raypipe.explain.rationale.table import rationales_table
from raypipe.records import Failure, FloatArray, Generation, Request, Search, Utterance
from raypipe.runtime.infer.asking import Model, answer
from raypipe.runtime.infer.context import ShardTask
from raypipe.runtime.infer.preparing import decoded, model_inputs
from raypipe.runtime.rationale.choosing import LeftOut, gold_of
from raypipe.runtime.rationale.plan import ModelToAsk, RationaleContext
from raypipe.shards import read_shard
from raypipe.store.objects import object_bytes
from raypipe.store.tables import errors_table

_FEWEST = 10
_BROKEN_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class RationaleSummary:
    """What the driver hears about a shard.

    Attributes:
        shard: its name.
        asked: utterances that were asked about.
        errors: of its utterances, those that are error rows.
        without: of those asked about, the ones without a rationale that keeps the rules.
        stopped: why the shard was not written; None if it was.
        resumable: whether the same command continues after it, as it does at the end of a budget.
    """

    shard: str
    asked: int = 0
    errors: int = 0
    without: int = 0
    stopped: str | None = None
    resumable: bool = False


@dataclass(frozen=True, slots=True)
class _TeacherClip:
    """An utterance that is asked about, with its sound."""

    row: int
    utterance: Utterance
    label: str
    samples: FloatArray


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The rows of a shard: asked about, not usable, or left out.

    Attributes:
        failures: number of a row, None for the whole shard, and what is wrong.
        left_out: number of utterances by reason.
    """

    clips: list[_TeacherClip]
    failures: list[tuple[int | None, Failure]]
    left_out: Mapping[str, int]


def rationale_shard(
    task: ShardTask,
    context: RationaleContext,
    teacher: Model,
    guesser: Model | None = None,
    *,
    again: bool = False,
) -> RationaleSummary:
    """A shard's utterances put to a teacher, and what came of them written.

    A shard of which most utterances failed with their requests is not written: the model is
    broken, not its answers.

    Args:
        task: the shard.
        context: of the job.
        teacher: the model that is asked.
        guesser: the model that guesses labels; None where nothing is guessed.
        again: the shard was written before and is to be written anew.

    Raises:
        StoppedError: if a model stops, say at the end of its budget.
        StoreError: if the storage refuses.
    """
    chosen = _chosen(task, context, teacher[0].sampling_rate)
    clips, failures = chosen.clips, chosen.failures
    asking = _Asking(clips, context.teacher, teacher)
    guess = None
    if guesser is not None and context.guesser is not None:
        guess = _Guessing(context, context.guesser, guesser)
    with teacher[1].audio_cache():
        rationales = ask_teacher(
            [Rationale(clip.label, _transcript(clip.utterance)) for clip in clips],
            asking,
            context.source,
            context.rules,
            context.tries,
            guess,
        )
    failures_of_model = (rationale.failure for rationale in rationales)
    failed = [failure for failure in failures_of_model if failure and not failure.is_refusal]
    if len(clips) >= _FEWEST and len(failed) > _BROKEN_SHARE * len(clips):
        reason = f"{len(failed)} of {len(clips)} utterances: {failed[0].message}"
        return RationaleSummary(task.entry.name, stopped=reason)
    answered = []
    for clip, rationale in zip(clips, rationales, strict=True):
        if rationale.failure is None:
            answered.append((clip.utterance, rationale))
        else:
            failures.append((clip.row, rationale.failure))
    errors = _commit(task, answered, chosen, context, again=again)
    without = sum(rationale.text is None for _, rationale in answered)
    return RationaleSummary(task.entry.name, len(answered), errors, without)


def _transcript(utterance: Utterance) -> str | None:
    return " ".join((utterance.transcript or "").split()) or None


def _chosen(task: ShardTask, context: RationaleContext, sampling_rate: int) -> _Chosen:
    try:
        rows = read_shard(context.shards, task.entry, context.labels)[: task.take]
    except ShardError as error:
        failure = Failure(None, "read", type(error).__name__, str(error))
        return _Chosen([], [(None, failure)], {})
    clips: list[_TeacherClip] = []
    failures: list[tuple[int | None, Failure]] = []
    left_out: Counter[str] = Counter()
    for number, row in enumerate(rows):
        if isinstance(row, Failure):
            failures.append((number, row))
            continue
        label = gold_of(row, context.choice)
        if isinstance(label, Failure):
            failures.append((number, label))
            continue
        if isinstance(label, LeftOut):
            left_out[label.reason] += 1
            continue
        samples = decoded(row, task.repeated.get(number), sampling_rate, context.limits)
        if isinstance(samples, Failure):
            failures.append((number, samples))
            continue
        heard = samples[: round(context.window_s * sampling_rate)]
        clips.append(_TeacherClip(number, row, label, heard))
    return _Chosen(clips, failures, left_out)


class _Asking:
    """A teacher that is asked about clips; nothing is made of a clip twice."""

    def __init__(self, clips: Sequence[_TeacherClip], model: ModelToAsk, loaded: Model) -> None:
        self._clips = clips
        self._frontend, self._engine = loaded
        self._search = Search(0, True, model.run.decoding.max_new_tokens)
        self._prepared: dict[int, Tagged | Failure] = {}

    def __call__(self, asked: Sequence[tuple[int, str]]) -> list[Generation | Failure]:
        """One reply for every number of a clip and its prompt."""
        new = [(number, prompt) for number, prompt in asked if number not in self._prepared]
        requests = [
            Request(self._clips[number].utterance.utterance_id, prompt, self._clips[number].samples)
            for number, prompt in new
        ]
        made = model_inputs(requests, self._frontend) if requests else []
        self._prepared.update(zip((number for number, _ in new), made, strict=True))
        first = {number for number, _ in new}
        inputs: list[Tagged | Failure] = []
        for number, prompt in asked:
            prepared = self._prepared[number]
            if number not in first and not isinstance(prepared, Failure):
                prepared = self._frontend.with_prompt(prepared, prompt)
            inputs.append(prepared)
        return answer(inputs, self._engine, self._search)


class _Guessing:
    """A text model that guesses labels from rationales."""

    def __init__(self, context: RationaleContext, model: ModelToAsk, loaded: Model) -> None:
        self._labels = context.guessed
        self._frontend, self._engine = loaded
        self._search = Search(0, True, model.run.decoding.max_new_tokens)

    def __call__(self, rationales: Sequence[str]) -> list[str | Failure | None]:
        """The label guessed from each rationale; None for none."""
        requests = [
            Request(f"rationale {number}", guess_prompt(text, self._labels), None)
            for number, text in enumerate(rationales, 1)
        ]
        replies = answer(model_inputs(requests, self._frontend), self._engine, self._search)
        return [
            reply
            if isinstance(reply, Failure)
            else guessed_label(reply.hypotheses[0].text, self._labels)
            for reply in replies
        ]


def _commit(
    task: ShardTask,
    answered: Sequence[tuple[Utterance, Rationale]],
    chosen: _Chosen,
    context: RationaleContext,
    *,
    again: bool,
) -> int:
    """Write a shard's errors, then its rationales: where these exist, the shard is done."""
    names = {"model": context.model, "prompt": context.prompt}
    in_order = sorted(chosen.failures, key=lambda entry: -1 if entry[0] is None else entry[0])
    errors = errors_table(
        in_order, run=context.run, shard=task.entry.name, shard_rows=task.take, **names
    )
    rows = rationales_table(
        answered,
        run=context.run,
        purpose=context.purpose,
        left_out=chosen.left_out,
        **names,
    )
    for table, data in (("errors", errors), (context.table, rows)):
        encoded = object_bytes(data, fingerprint=context.fingerprint, **names)
        place = context.object_name(table, task.entry.name)
        if again:
            context.tables.write(place, encoded)
        else:
            context.tables.write_new(place, encoded, context.fingerprint)
    return sum(errors.column("utterances").to_pylist())
