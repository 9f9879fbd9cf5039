"""From a shard's rows to what a model takes: decoded, cut into windows, asked by every prompt."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from raypipe.audio import AudioLimits, decode, resample
from raypipe.descriptors import describe
from raypipe.engines.contract import Tagged
from raypipe.errors import (
    DecodeError,
    EngineError,
    RaypipeError,
    ShardError,
    TemplateValueError,
    unexpected,
)
from raypipe.prompts import fill_template, uses
from raypipe.prompts.examples import Example
from raypipe.prompts.options import options_for
from raypipe.protocols import Frontend
from raypipe.records import (
    Descriptors,
    Failure,
    FloatArray,
    OptionOrder,
    Request,
    Scale,
    Stage,
    Utterance,
)
from raypipe.runtime.infer.answering import WindowInputs
from raypipe.runtime.infer.context import Prompt, RunContext, ShardTask
from raypipe.shards.read import shard_bytes, shard_rows

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class PreparedRows:
    """Utterances on their way to the model: each a clip in one part or several, or a failure.

    Attributes:
        utterances: the rows without their audio, None where even the row could not be read.
        windows: what the engine's frontend made of every row.
        heard_s: seconds of each clip that the model gets to hear, None where it gets none.
    """

    utterances: tuple[Utterance | None, ...] = ()
    windows: tuple[tuple[WindowInputs, ...] | Failure, ...] = ()
    heard_s: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class PreparedShard:
    """A shard on its way to the model.

    Attributes:
        rows: none for a shard that could not be read.
        shard_failure: why the whole shard could not be read; None if it could.
    """

    task: ShardTask
    rows: PreparedRows
    shard_failure: Failure | None = None


def prepare_shard(
    task: ShardTask,
    context: RunContext,
    frontend: Frontend[Tagged],
    verifier: Frontend[Tagged] | None = None,
) -> PreparedShard:
    """A shard, read and made ready for the model; arguments as for :func:`prepare_rows`."""
    data = read_data(task, context)
    rows = data if isinstance(data, Failure) else read_rows(data, task, context)
    if isinstance(rows, Failure):
        return PreparedShard(task, PreparedRows(), rows)
    return PreparedShard(
        task, prepare_rows(rows, context, frontend, verifier, repeated=task.repeated)
    )


def read_data(task: ShardTask, context: RunContext) -> bytes | Failure:
    """The object of a shard, or why it cannot be read."""
    return _read(lambda: shard_bytes(context.shards, task.entry))


def read_rows(
    data: bytes, task: ShardTask, context: RunContext
) -> list[Utterance | Failure] | Failure:
    """Rows in a shard's object, or why it cannot be read."""
    read = partial(shard_rows, data, context.shards, task.entry, context.labels)
    return _read(lambda: read()[: task.take])


def _read(step: Callable[[], _Read]) -> _Read | Failure:
    try:
        return step()
    except ShardError as error:
        return Failure(None, "read", type(error).__name__, str(error))
    except RaypipeError:
        raise
    except Exception as error:  # of a library, about a file that nobody foresaw
        return Failure(None, "read", *unexpected(error))


def prepare_rows(
    rows: Sequence[Utterance | Failure],
    context: RunContext,
    frontend: Frontend[Tagged],
    verifier: Frontend[Tagged] | None = None,
    *,
    repeated: Mapping[int, str] = MappingProxyType({}),
) -> PreparedRows:
    """Every usable row, decoded, cut into windows, asked by every prompt.

    Args:
        rows: utterances, or why there is none.
        context: of the run.
        frontend: of the model that is asked.
        verifier: of another model that verifies; None where there is none.
        repeated: rows whose utterance id already stands elsewhere, with where that is.
    """
    clips_by_row: list[_Clips | Failure] = []
    requests: list[Request | Failure] = []
    for index, row in enumerate(rows):
        clips, asked = _asked(row, repeated.get(index), context, frontend)
        clips_by_row.append(clips)
        requests += asked
    # One call: all prompts about a clip share what is made of its sound.
    inputs = iter(model_inputs([each for each in requests if isinstance(each, Request)], frontend))
    prepared = (request if isinstance(request, Failure) else next(inputs) for request in requests)
    for_verifier = iter(_for_verifier(clips_by_row, verifier))
    windows = tuple(
        clips
        if isinstance(clips, Failure)
        else tuple(_windows(clips, context, prepared, for_verifier))
        for clips in clips_by_row
    )
    heard_s = tuple(None if isinstance(clips, Failure) else clips.seconds for clips in clips_by_row)
    return PreparedRows(tuple(without_audio(row) for row in rows), windows, heard_s)


@dataclass(frozen=True, slots=True)
class _Clips:
    """Decoded audio of a row: the whole clip, or its windows."""

    row: Utterance
    windows: tuple[FloatArray, ...]
    sampling_rate: int

    @property
    def seconds(self) -> float:
        return sum(len(window) for window in self.windows) / self.sampling_rate


def _asked(
    row: Utterance | Failure,
    elsewhere: str | None,
    context: RunContext,
    frontend: Frontend[Tagged],
) -> tuple[_Clips | Failure, list[Request | Failure]]:
    """A row's clips and what is asked about them; a row costs no other, whatever is wrong."""
    stage: Stage = "decode"
    try:
        clips = _clips(row, elsewhere, context, frontend)
        stage = "prompt"
        return clips, list(_requests(clips, context))
    except TemplateValueError as error:
        return Failure(row.utterance_id, stage, "template", str(error)), []
    except RaypipeError:
        raise
    except Exception as error:  # of a codec or a template, about a row that nobody foresaw
        return Failure(row.utterance_id, stage, *unexpected(error)), []


def model_inputs(requests: Sequence[Request], frontend: Frontend[Tagged]) -> list[Tagged | Failure]:
    """What the frontend makes of every request; one that it cannot take costs no other."""
    try:
        return list(frontend.prepare(requests))
    except Exception as error:  # of a model's processor, about a clip that nobody foresaw
        if isinstance(error, RaypipeError) and not isinstance(error, EngineError):
            raise
        if len(requests) == 1:
            return [Failure(requests[0].utterance_id, "prompt", *unexpected(error))]
        return [each for request in requests for each in model_inputs([request], frontend)]


def decoded(
    row: Utterance, elsewhere: str | None, sampling_rate: int, limits: AudioLimits
) -> FloatArray | Failure:
    """Samples of a row's clip, or why there are none.

    Args:
        row: of a shard.
        elsewhere: where its utterance id stands already; None if nowhere.
        sampling_rate: of the samples, in Hz.
        limits: of usable audio.
    """
    if elsewhere is not None:
        message = f"utterance_id {row.utterance_id!r} already stands in {elsewhere}"
        return Failure(row.utterance_id, "read", "duplicate_id", message)
    try:
        return decode(row.audio, sampling_rate=sampling_rate, limits=limits)
    except DecodeError as error:
        return Failure(row.utterance_id, "decode", error.code, str(error))


def _clips(
    row: Utterance | Failure,
    elsewhere: str | None,
    context: RunContext,
    frontend: Frontend[Tagged],
) -> _Clips | Failure:
    if isinstance(row, Failure):
        return row
    rate = frontend.sampling_rate
    samples = decoded(row, elsewhere, rate, context.limits)
    if isinstance(samples, Failure):
        return samples
    if context.silence:
        samples = np.zeros_like(samples)
    longest = round(context.window_s * rate)
    if context.long_audio == "first_window":
        return _Clips(row, (samples[:longest],), rate)
    if context.long_audio == "windows":
        # Equal parts: a short rest would hardly be an utterance, and weigh as much as the others.
        count = max(1, -(-len(samples) // longest))
        return _Clips(row, tuple(np.array_split(samples, count)), rate)
    return _Clips(row, (samples,), rate)


def _requests(clips: _Clips | Failure, context: RunContext) -> Iterator[Request | Failure]:
    """Every prompt about every window, the variants with instructions, then about attributes."""
    if isinstance(clips, Failure):
        return
    asked: list[tuple[Prompt, str, Scale | None]] = [
        (prompt, prompt.source, None) for prompt in context.prompts
    ]
    asked += [
        (prompt, prompt.cot_source, None)
        for prompt in context.prompts
        if prompt.cot_source is not None
    ]
    asked += [
        (prompt, prompt.attributes.source, prompt.attributes.scale)
        for prompt in context.prompts
        if prompt.attributes is not None
    ]
    silent = [(prompt, prompt.source, None) for prompt in context.prompts] * context.asks_silence
    for window in clips.windows:
        measured: Descriptors | Failure | None = None
        heard = [(*each, window) for each in asked]
        heard += [(*each, np.zeros_like(window)) for each in silent]
        for prompt, source, scale, sound in heard:
            if measured is None and uses(source, "descriptors"):
                measured = _measured(clips, window)
            if isinstance(measured, Failure) and uses(source, "descriptors"):
                yield measured
                continue
            text = filled(
                source,
                clips.row,
                context,
                descriptors=None if isinstance(measured, Failure) else measured,
                examples=prompt.examples,
                options=prompt.options,
                scale=scale,
            )
            samples = None if prompt.text_only else sound
            yield Request(clips.row.utterance_id, text, samples, prompt.turn, prompt.clip)


def _measured(clips: _Clips, window: FloatArray) -> Descriptors | Failure:
    try:
        return describe(window, clips.sampling_rate)
    except DecodeError as error:
        return Failure(clips.row.utterance_id, "prompt", error.code, str(error))


def _for_verifier(
    clips_by_row: list[_Clips | Failure], verifier: Frontend[Tagged] | None
) -> list[Tagged | Failure]:
    """Every window as another model takes it, asked nothing yet; empty without one."""
    if verifier is None:
        return []
    requests = []
    for clips in clips_by_row:
        if isinstance(clips, Failure):
            continue
        for window in clips.windows:
            samples = resample(window, clips.sampling_rate, verifier.sampling_rate)
            requests.append(Request(clips.row.utterance_id, "", samples))
    return model_inputs(requests, verifier)


def _windows(
    clips: _Clips,
    context: RunContext,
    prepared: Iterator[Tagged | Failure],
    for_verifier: Iterator[Tagged | Failure],
) -> Iterator[WindowInputs]:
    is_whole = len(clips.windows) == 1
    with_clip = [number for number, prompt in enumerate(context.prompts) if not prompt.text_only]
    for number, window in enumerate(clips.windows):
        asked = tuple(next(prepared) for _ in context.prompts)
        cot = tuple(next(prepared) for prompt in context.prompts if prompt.cot_source is not None)
        attributes = tuple(
            next(prepared) for prompt in context.prompts if prompt.attributes is not None
        )
        silent = tuple(next(prepared) for _ in context.prompts if context.asks_silence)
        window_s = None if is_whole else len(window) / clips.sampling_rate
        clip_from = with_clip[0] if with_clip else 0
        yield WindowInputs(
            number, window_s, asked, cot, next(for_verifier, None), clip_from, attributes, silent
        )


def filled(
    source: str,
    row: Utterance,
    context: RunContext,
    *,
    candidate: str | None = None,
    descriptors: Descriptors | None = None,
    examples: Sequence[Example] = (),
    options: OptionOrder | None = None,
    scale: Scale | None = None,
) -> str:
    """A template filled for one utterance; arguments as :func:`raypipe.prompts.fill_template`."""
    return fill_template(
        source,
        context.labels,
        transcript=row.transcript,
        context=row.context,
        fixed_sentences=context.fixed_sentences,
        candidate=candidate,
        descriptors=descriptors,
        examples=examples,
        options=options_for(options, context.labels, row.utterance_id),
        scale=scale,
    )


def without_audio(row: Utterance | Failure) -> Utterance | None:
    """A row as it is kept beside its clips; None where there is none."""
    return None if isinstance(row, Failure) else dataclasses.replace(row, audio=b"")
