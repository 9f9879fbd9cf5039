"""What a run will do, told from its config and small files: no weights, no Ray, nothing written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raypipe.config import RunConfig
from raypipe.errors import RaypipeError
from raypipe.labels import LabelSet
from raypipe.protocols import CAPABILITY_WORDS
from raypipe.questions import question_named
from raypipe.records import Utterance
from raypipe.runtime.finish.labels import NO_TABLES, truth_tables
from raypipe.runtime.finish.output import output_place, refuse_another_run
from raypipe.runtime.infer.automatic import AskDevices, Automatic
from raypipe.runtime.infer.context import RunContext
from raypipe.runtime.infer.devices import Devices, local_devices
from raypipe.runtime.infer.model_checkup import ModelFacts, facts_of, model_facts
from raypipe.runtime.infer.models import faults_of
from raypipe.runtime.infer.plan import (
    check_engines,
    identity_of,
    unchecked_contexts,
    utterance_ids,
)
from raypipe.shards import ShardEntry, ShardIndex, read_durations, read_index, read_shard
from raypipe.store.location import Location
from raypipe.store.run_record import RECORD
from raypipe.strategies import Strategy, Variant, strategy_named


@dataclass(frozen=True, slots=True)
class CorpusFacts:
    """The utterances of a run.

    Attributes:
        uri: where the shards lie.
        shards: that belong to the run.
        utterances: that belong to the run.
        labels: what distributions are aligned with.
        seconds: of all clips whose duration is known.
        longest_s: longest clip; None if no duration is known.
    """

    uri: str
    shards: int
    utterances: int
    labels: tuple[str, ...]
    seconds: float
    longest_s: float | None


@dataclass(frozen=True, slots=True)
class StrategyFacts:
    """What a strategy of a run needs.

    Attributes:
        asks: names of the questions it reads.
        needs: what an engine must give for them, in words.
    """

    name: str
    asks: tuple[str, ...]
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checkup:
    """Everything that small files tell of a run.

    Attributes:
        faults: why it would not begin, one line each; empty if it would.
        corpus: None if it cannot be read.
        models: empty if something is wrong with one of them that nothing can be told without.
        chosen: values of the settings that said ``auto``.
        output: where the tables go, and whether a run is there already.
    """

    name: str
    faults: tuple[str, ...]
    corpus: CorpusFacts | None
    devices: Devices | None
    models: tuple[ModelFacts, ...]
    strategies: tuple[StrategyFacts, ...]
    chosen: Mapping[str, str | int | float]
    output: str


def checkup(config: RunConfig, ask: AskDevices = local_devices) -> Checkup:
    """What a run will do, and why it would not begin.

    Args:
        config: the run.
        ask: tells the GPUs that ``auto`` is resolved for.
    """
    faults = list(faults_of(config))
    shards = Location.parse(config.input.shards, config.storage.endpoint)
    tables = Location.parse(config.output, config.storage.endpoint)
    index: ShardIndex | None = None
    with _noting(faults):
        output_place(config.output, config.storage.endpoint)
    with _noting(faults):
        index = read_index(shards)
    if index is None:
        return _incomplete(config, faults, None)
    entries = taken(index, config.input.limit)
    durations = np.zeros(0)
    with _noting(faults):
        durations = read_durations(shards, entries)
    corpus = _corpus(shards, index, entries, durations)
    truth = NO_TABLES
    with _noting(faults):
        named = LabelSet(tuple(index.labels))
        truth = truth_tables(config.labels, named, config.storage.endpoint)
        truth.used(utterance_ids(shards, index, config.input.limit))
    automatic = Automatic(tables, ask)
    contexts: tuple[RunContext, ...] = ()
    # What a model without its files fails with was told in better words.
    with _noting([] if faults else faults):
        for model in config.all_models:
            facts_of(model)
        config, contexts = unchecked_contexts(config, shards, tables, index, automatic, truth)
    if not contexts:
        return _incomplete(config, faults, corpus)
    resolved = config
    with _noting(faults):
        check_engines(config, contexts)
    with _noting(faults):
        by_model = {context.model: context for context in contexts}
        resolved = automatic.with_rows(config, by_model)
    with _noting(faults):
        identity = {**identity_of(resolved, index, contexts[0]), **truth.identity()}
        recorded = resolved.model_dump(mode="json")
        refuse_another_run(tables, contexts[0].prediction_fingerprint, recorded, identity)
    first = _example(shards, entries, contexts[0])
    models = []
    for model, context in zip(resolved.all_models, contexts, strict=True):
        with _noting(faults):
            models.append(model_facts(resolved.with_model(model), context, durations, first))
    return Checkup(
        name=config.name,
        faults=tuple(dict.fromkeys(faults)),
        corpus=corpus,
        devices=automatic.devices,
        models=tuple(models),
        strategies=tuple(_strategies(config)),
        chosen=automatic.chosen,
        output=f"{tables.uri}, {'continued' if tables.exists(RECORD) else 'new'}",
    )


def taken(index: ShardIndex, limit: int | None) -> list[tuple[ShardEntry, int]]:
    """Shards with rows of a run, each with the number of its first rows that belong to it."""
    return [(entry, take) for entry, take in index.first(limit) if take]


@contextmanager
def _noting(faults: list[str]) -> Iterator[None]:
    """Context in which an error becomes a fault of the list."""
    try:
        yield
    except RaypipeError as error:
        faults.append(str(error))


def _incomplete(config: RunConfig, faults: list[str], corpus: CorpusFacts | None) -> Checkup:
    told = tuple(dict.fromkeys(faults))
    return Checkup(
        config.name, told, corpus, None, (), tuple(_strategies(config)), {}, config.output
    )


def _corpus(
    shards: Location,
    index: ShardIndex,
    entries: list[tuple[ShardEntry, int]],
    durations: NDArray[np.float64],
) -> CorpusFacts:
    known = durations[~np.isnan(durations)]
    return CorpusFacts(
        uri=shards.uri,
        shards=len(entries),
        utterances=sum(take for _, take in entries),
        labels=tuple(index.labels),
        seconds=float(known.sum()),
        longest_s=float(known.max()) if len(known) else None,
    )


def _example(
    shards: Location, entries: list[tuple[ShardEntry, int]], context: RunContext
) -> Utterance | None:
    """The first utterance of the first shard that can be read; not too long, if there is one."""
    for entry, take in entries:
        try:
            rows = read_shard(shards, entry, context.labels)[:take]
        except RaypipeError:
            continue
        heard = [row for row in rows if isinstance(row, Utterance)]
        fitting = (row for row in heard if row.duration_s <= context.limits.max_duration_s)
        if heard:
            return next(fitting, heard[0])
    return None


def _strategies(config: RunConfig) -> Iterator[StrategyFacts]:
    for name in config.strategies:
        named = map(strategy_named, Variant(name, name, config.settings).parts)
        parts = [part for part in named if isinstance(part, Strategy)]
        asks = [each for part in parts for each in part.asked(config.offered_questions)]
        needs = [need for part in parts for need in sorted(part.requires)]
        needs += [need for each in asks for need in sorted(question_named(each).requires)]
        words = [CAPABILITY_WORDS.get(need, need) for need in needs]
        yield StrategyFacts(name, tuple(dict.fromkeys(asks)), tuple(dict.fromkeys(words)))
