"""Some utterances through a run's real engine, in this process; nothing is written."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from raypipe.config import RunConfig
from raypipe.errors import ConfigError
from raypipe.metrics import js_divergence
from raypipe.records import Failure, Generation, Prediction, Utterance
from raypipe.runtime.infer.automatic import AskDevices, Automatic, searches_of
from raypipe.runtime.infer.context import RunContext
from raypipe.runtime.infer.devices import Devices, local_devices
from raypipe.runtime.infer.doctor import taken
from raypipe.runtime.infer.models import make_engine, make_frontend
from raypipe.runtime.infer.plan import run_contexts
from raypipe.runtime.infer.preparing import prepare_rows
from raypipe.runtime.infer.shard_work import AnsweredRows, answer_rows, verify_rows
from raypipe.shards import ShardEntry, read_index, read_shard
from raypipe.store.location import Location
from raypipe.strategies import predict_variants


@dataclass(frozen=True, slots=True)
class TriedPrediction:
    """What one strategy read in the answers about one utterance.

    Attributes:
        strategy: its name.
        probs: the distribution, by label in the corpus's order; None when invalid.
        reading: parsing rule that fired, or why there is no distribution.
        js: Jensen-Shannon divergence from the annotators' distribution, in bits; None where either
            is missing.
    """

    strategy: str
    probs: tuple[float, ...] | None
    reading: str
    js: float | None


@dataclass(frozen=True, slots=True)
class TriedAnswer:
    """One utterance under one prompt.

    Attributes:
        texts: of the hypotheses, each with its kind before it.
        truth: the annotators' distribution; None without votes.
        failure: why there is no answer; None if there is.
        prompt_tokens: of the question; None where nobody says.
    """

    utterance_id: str
    prompt: str
    duration_s: float | None
    texts: tuple[tuple[str, str], ...]
    truth: tuple[float, ...] | None
    predictions: tuple[TriedPrediction, ...]
    failure: str | None
    prompt_tokens: int | None


@dataclass(frozen=True, slots=True)
class Trial:
    """Utterances that were answered, and what that says of the whole corpus.

    Attributes:
        model: its name in the tables.
        labels: what distributions are aligned with.
        answers: by utterance, then prompt.
        load_s: seconds until the engine was there.
        answer_s: seconds for one utterance, all prompts and questions, decoding included.
        rows: utterances that were answered together.
        rows_of_run: utterances that a run answers together.
        actors: that this machine holds, in a run.
        corpus_s: seconds for all utterances of the run with these actors.
    """

    model: str
    labels: tuple[str, ...]
    answers: tuple[TriedAnswer, ...]
    load_s: float
    answer_s: float
    rows: int
    rows_of_run: int
    actors: int
    corpus_s: float


def try_some(config: RunConfig, count: int, ask: AskDevices = local_devices) -> Trial:
    """Answer utterances from evenly spaced places of the corpus with the run's first model.

    Args:
        config: the run.
        count: most utterances to answer.
        ask: tells the GPUs.

    Raises:
        ConfigError: if there are none.
        RaypipeError: if the config, the input or the model is wrong.
    """
    config = config.with_model(config.all_models[0])
    shards = Location.parse(config.input.shards, config.storage.endpoint)
    tables = Location.parse(config.output, config.storage.endpoint)
    index = read_index(shards)
    automatic = Automatic(tables, ask)
    config, (context,) = run_contexts(config, shards, tables, index, automatic)
    entries = taken(index, config.input.limit)
    rows = list(_sample(shards, entries, context, count))
    if not rows:
        raise ConfigError(f"{shards.uri}: no utterance that could be tried")
    with tempfile.TemporaryDirectory(prefix="raypipe-trial-") as folder:
        # An endpoint's engine keeps its answers and its account beside a run's tables.
        started = time.monotonic()
        engine = _Engine(config.model_copy(update={"output": folder}), context)
        load_s = time.monotonic() - started
        started = time.monotonic()
        size = min(config.resources.rows, len(rows))
        batches = [rows[start : start + size] for start in range(0, len(rows), size)]
        answered = [engine.answer(batch) for batch in batches]
        answer_s = (time.monotonic() - started) / len(rows)
    actors = _actors(config, automatic.devices)
    utterances = sum(take for _, take in entries)
    return Trial(
        model=context.model,
        labels=context.labels.names,
        answers=tuple(
            tried
            for batch, answers in zip(batches, answered, strict=True)
            for tried in _answers(batch, answers, context)
        ),
        load_s=load_s,
        answer_s=answer_s,
        rows=size,
        rows_of_run=config.resources.rows,
        actors=actors,
        corpus_s=load_s + answer_s * utterances / actors,
    )


class _Engine:
    """Both halves of a run's engine, and of its verifier's if that is another model."""

    def __init__(self, config: RunConfig, context: RunContext) -> None:
        self._context = context
        searches = list(searches_of(context))
        self._frontend = make_frontend(config.model)
        self._engine = make_engine(config, context.emotion_tokens, searches)
        self._verifier = None
        verification = context.verification
        if verification is not None and not verification.own_model:
            verifier = config.as_verifier()
            frontend = make_frontend(verifier.model)
            tokens = frontend.emotion_tokens(context.labels)
            self._verifier = frontend, make_engine(verifier, tokens, [verification.search])

    def answer(self, rows: Sequence[Utterance | Failure]) -> AnsweredRows:
        context, other = self._context, self._verifier
        prepared = prepare_rows(rows, context, self._frontend, None if other is None else other[0])
        if other is not None:
            return verify_rows(answer_rows(prepared, context, self._engine), context, other)
        own = None if context.verification is None else (self._frontend, self._engine)
        return answer_rows(prepared, context, self._engine, own)


def _sample(
    shards: Location, entries: Sequence[tuple[ShardEntry, int]], context: RunContext, count: int
) -> Iterator[Utterance | Failure]:
    """Rows from evenly spaced places of the corpus; a shard that cannot be read is an error."""
    total = sum(take for _, take in entries)
    count = min(count, total)
    places = [place * total // count for place in range(count)]
    start = 0
    for entry, take in entries:
        wanted = [place - start for place in places if start <= place < start + take]
        start += take
        if wanted:
            rows = read_shard(shards, entry, context.labels)
            yield from (rows[number] for number in wanted)


def _answers(
    rows: Sequence[Utterance | Failure], answered: AnsweredRows, context: RunContext
) -> Iterator[TriedAnswer]:
    for row, by_prompt in zip(rows, answered.answers, strict=True):
        for prompt, answer in zip(context.asked_prompts, by_prompt, strict=True):
            yield _tried(row, prompt, answer, context)


def _tried(
    row: Utterance | Failure, prompt: str, answer: Generation | Failure, context: RunContext
) -> TriedAnswer:
    truth = None if isinstance(row, Failure) else row.soft_label
    tried = TriedAnswer(
        utterance_id=row.utterance_id or "?",
        prompt=prompt,
        duration_s=None if isinstance(row, Failure) else row.duration_s,
        texts=(),
        truth=truth,
        predictions=(),
        failure=None,
        prompt_tokens=None,
    )
    if isinstance(answer, Failure):
        failure = f"{answer.stage}, {answer.error_type}: {answer.message}"
        return dataclasses.replace(tried, failure=failure)
    predictions = predict_variants(
        answer.hypotheses,
        context.variants,
        context.labels,
        context.emotion_tokens,
        answer.questions,
    )
    return dataclasses.replace(
        tried,
        texts=tuple((each.kind, each.text) for each in answer.hypotheses),
        predictions=tuple(_tried_prediction(each, truth) for each in predictions),
        prompt_tokens=answer.prompt_tokens,
    )


def _tried_prediction(prediction: Prediction, truth: Sequence[float] | None) -> TriedPrediction:
    reading = prediction.invalid_reason or prediction.parse_rule or ""
    if prediction.probs is None:
        return TriedPrediction(prediction.strategy, None, reading, None)
    js = None
    if truth is not None:
        js = float(js_divergence(np.asarray([truth]), prediction.probs[None])[0])
    return TriedPrediction(prediction.strategy, tuple(prediction.probs.tolist()), reading, js)


def _actors(config: RunConfig, devices: Devices | None) -> int:
    """Replicas of the model that a run has on this machine."""
    resources = config.resources
    if resources.actors != "auto":
        return resources.actors
    if not resources.gpus or devices is None:
        return 1
    return resources.actors_on(devices.gpus)
