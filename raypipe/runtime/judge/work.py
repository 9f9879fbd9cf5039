"""What happens to one part of a judge job, as plain functions that know nothing of Ray."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raypipe.errors import ShardError
from raypipe.explain.judge.table import AnsweredPair, judgements_table
from raypipe.explain.judge.verdicts import judge_prompt
from raypipe.records import Failure, FloatArray, Generation, Request, Search, Utterance
from raypipe.runtime.infer.asking import Model, answer
from raypipe.runtime.infer.preparing import decoded
from raypipe.runtime.judge.plan import JudgeContext
from raypipe.runtime.judge.reading import JudgePart, PlacedPair
from raypipe.shards import read_shard
from raypipe.store.objects import object_bytes
from raypipe.store.tables import errors_table

_FEWEST_PAIRS = 10
_BROKEN_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class JudgeSummary:
    """What the driver hears about a part.

    Attributes:
        errors: pairs of which a question failed.
        stopped: why the part was not written; None if it was.
        resumable: whether the same command continues after it, as it does at the end of a budget.
    """

    name: str
    pairs: int
    errors: int = 0
    stopped: str | None = None
    resumable: bool = False


def judge_part(part: JudgePart, context: JudgeContext, model: Model) -> JudgeSummary:
    """A part's pairs put to a judge, each twice, and the verdicts written.

    A part of which most pairs failed for no fault of theirs is not written: the judge is broken.

    Raises:
        StoppedError: if the engine stops, say at the end of its budget.
        StoreError: if the storage refuses.
    """
    clips = _clips(part, context, model[0].sampling_rate)
    answers = _answers(part.pairs, clips, context, model)
    answered = [row for row in answers if isinstance(row, AnsweredPair)]
    failures = [(at, row) for at, row in enumerate(answers) if isinstance(row, Failure)]
    broken = [failure for _, failure in failures if not failure.is_refusal]
    if len(part.pairs) >= _FEWEST_PAIRS and len(broken) > _BROKEN_SHARE * len(part.pairs):
        reason = f"{len(broken)} of {len(part.pairs)} pairs: {broken[0].message}"
        return JudgeSummary(part.name, len(part.pairs), stopped=reason)
    _commit(part, answered, failures, context)
    return JudgeSummary(part.name, len(part.pairs), errors=len(failures))


def _clips(
    part: JudgePart, context: JudgeContext, sampling_rate: int
) -> dict[str, FloatArray | Failure]:
    """What the judge hears, by utterance; nothing for one that does not hear."""
    if context.shards is None:
        return {}
    wanted = {row.pair.utterance_id for row in part.pairs}
    clips: dict[str, FloatArray | Failure] = {}
    for entry in dict.fromkeys(row.entry for row in part.pairs if row.entry is not None):
        try:
            rows = read_shard(context.shards, entry)
        except ShardError as error:
            failure = (type(error).__name__, str(error))
            clips |= {
                row.pair.utterance_id: Failure(row.pair.utterance_id, "read", *failure)
                for row in part.pairs
                if row.entry == entry
            }
            continue
        for row in rows:
            name = row.utterance_id
            if name is None or name not in wanted or name in clips:
                continue
            if isinstance(row, Utterance):
                clips[name] = decoded(row, None, sampling_rate, context.limits)
            else:
                clips[name] = row
    return clips


def _answers(
    pairs: Sequence[PlacedPair],
    clips: dict[str, FloatArray | Failure],
    context: JudgeContext,
    model: Model,
) -> list[AnsweredPair | Failure]:
    """Both answers about every pair, or why there are none, in the order of the pairs."""
    requests: list[Request | Failure] = []
    for row in pairs:
        clip = clips.get(row.pair.utterance_id)
        for first_is_a in _asked_in_order(row):
            if isinstance(clip, Failure):
                requests.append(clip)
                continue
            prompt = judge_prompt(
                context.source,
                row.pair,
                first_is_a=first_is_a,
                transcript=row.transcript,
                audio=context.shards is not None,
            )
            requests.append(Request(row.pair.utterance_id, prompt, clip))
    replies = _ask(requests, context, model)
    return [
        _answered(row, replies[2 * number : 2 * number + 2]) for number, row in enumerate(pairs)
    ]


def _asked_in_order(row: PlacedPair) -> tuple[bool, bool]:
    """Whether the first system is A, in both questions about a pair."""
    return (True, False) if row.pair.first_is_a else (False, True)


def _answered(row: PlacedPair, replies: Sequence[Generation | Failure]) -> AnsweredPair | Failure:
    texts: dict[bool, str] = {}
    for first_is_a, reply in zip(_asked_in_order(row), replies, strict=True):
        if isinstance(reply, Failure):
            return Failure(row.pair.utterance_id, reply.stage, reply.error_type, reply.message)
        hypothesis = reply.hypotheses[0]
        # What a service withheld is no verdict, whatever is left of it.
        texts[first_is_a] = hypothesis.text if hypothesis.is_answer else ""
    return AnsweredPair(row.pair, row.transcript, texts[True], texts[False])


def _ask(
    requests: Iterable[Request | Failure], context: JudgeContext, model: Model
) -> list[Generation | Failure]:
    """One reply for every request, in their order."""
    frontend, engine = model
    requests = list(requests)
    askable = [request for request in requests if isinstance(request, Request)]
    prepared = iter(frontend.prepare(askable) if askable else ())
    items = [request if isinstance(request, Failure) else next(prepared) for request in requests]
    search = Search(0, True, context.run_config.decoding.max_new_tokens)
    return answer(items, engine, search)


def _commit(
    part: JudgePart,
    answered: Sequence[AnsweredPair],
    failures: Sequence[tuple[int, Failure]],
    context: JudgeContext,
) -> None:
    """Write a part's errors, then its verdicts: where these exist, the part is done.

    Failures come with the number of their pair in the part.
    """
    errors = errors_table(
        failures,
        run=context.run,
        shard=None,
        shard_rows=0,
        model=context.model,
        prompt=context.prompt,
    )
    table = judgements_table(
        answered,
        run=context.run,
        model=context.model,
        prompt=context.prompt,
        prompt_hash=context.prompt_hash,
        systems=context.systems,
    )
    for name, rows in (("errors", errors), ("judgements", table)):
        data = object_bytes(
            rows, model=context.model, prompt=context.prompt, fingerprint=context.fingerprint
        )
        place = context.object_name(name, part.name)
        if part.again:
            context.tables.write(place, data)
        else:
            context.tables.write_new(place, data, context.fingerprint)
