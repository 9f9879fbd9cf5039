"""A classify job from its config to its tables; a reader is a Ray actor."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import ray
from ray.exceptions import RayError

from raypipe.config import RunConfig
from raypipe.errors import EngineError
from raypipe.explain.classify.answers import Form
from raypipe.explain.classify.deciding import AnswerReader, Decided, decide
from raypipe.explain.classify.decisions import Decision
from raypipe.explain.classify.findings import ClassifyFindings, system_findings
from raypipe.explain.classify.sample import (
    Key,
    agreement,
)
from raypipe.explain.classify.scores import LabelledItem, Score, table_scores
from raypipe.labels import LabelSet
from raypipe.prompts import EXTRACT, GROUP, template_source
from raypipe.records import EmotionTokens, Failure, Generation
from raypipe.reporting.classify.page import headline, html_classified, terminal_tables
from raypipe.reporting.console import Console
from raypipe.runtime.classify.config import ClassifyConfig
from raypipe.runtime.classify.reading import ClassifyInput, read_systems
from raypipe.runtime.classify.tables import (
    EXTRACTIONS,
    GROUPS,
    standing_decisions,
    the_sample,
    write_answers,
    write_decisions,
    write_table1,
)
from raypipe.runtime.finish.ending import failures_recorded, finished_now
from raypipe.runtime.finish.output import output_place, refuse_another_run
from raypipe.runtime.finish.report import REPORT
from raypipe.runtime.finish.versions import versions
from raypipe.runtime.infer.asking import ask_texts, load_model
from raypipe.runtime.infer.automatic import Automatic
from raypipe.runtime.infer.devices import Devices, devices
from raypipe.runtime.infer.models import (
    bring_weights,
    check_engine,
    check_files,
    make_frontend,
    model_fingerprint,
    run_usage,
)
from raypipe.runtime.ray.session import check_resources, own_error, ray_session
from raypipe.store.location import Location
from raypipe.store.patience import with_patience
from raypipe.store.run_record import RunCounts, RunRecord, write_record
from raypipe.votes import OTHER

_BATCH = 64


@with_patience
def classify(
    config: ClassifyConfig, *, address: str | None = None, console: Console | None = None
) -> RunRecord:
    """Find out which emotion every answer of finished runs names, and score the systems.

    The same config again obeys what a person changed in ``extractions.csv`` and ``groups.csv``, and
    measures the reading on ``sample.csv`` where it is filled in. A reader is asked nothing twice.

    Args:
        config: what to do.
        address: of a Ray cluster, for a reader; None for ``RAY_ADDRESS``, else an embedded one.
        console: where progress goes.

    Returns:
        The record, as written to ``run.json``.

    Raises:
        RaypipeError: if the config, a run, a reviewed file, the reader or the storage is wrong.
    """
    console = console or Console()
    started, clock = datetime.now(UTC), time.monotonic()
    tables = output_place(config.output, config.storage.endpoint)
    given = read_systems(config)
    reader = None
    if config.reader is not None:
        reader = _plan_reader(config, tables, given.labels, partial(devices, address))
    fingerprint = config.identity(
        given.fingerprints,
        template_source(EXTRACT) + template_source(GROUP),
        None if reader is None else model_fingerprint(reader.run.model),
    )
    identity = {place: digest[:16] for place, digest in given.fingerprints.items()}
    refuse_another_run(tables, fingerprint, config.model_dump(mode="json"), identity)
    record = _record(config, given, fingerprint, identity, started)
    write_record(tables, record)
    with failures_recorded(tables, record):
        record, findings = _carried_out(config, tables, given, reader, record, address, clock)
    for table in terminal_tables(findings):
        console.print(table)
    console.print(headline(findings), highlight=False)
    done = record.done_counts.input
    console.print(f"{done} answers; tables and report.html in {tables.uri}", highlight=False)
    return record


@dataclass(frozen=True, slots=True)
class _ReaderPlan:
    """How the reader is loaded."""

    run: RunConfig
    tokens: EmotionTokens


def _plan_reader(
    config: ClassifyConfig, tables: Location, labels: LabelSet, ask: Callable[[], Devices]
) -> _ReaderPlan:
    run = config.as_run()
    check_files(run)
    run = Automatic(tables, ask).with_precision(run)
    tokens = make_frontend(run.model).emotion_tokens(labels)
    check_engine(run, tokens)
    return _ReaderPlan(run, tokens)


def _carried_out(
    config: ClassifyConfig,
    tables: Location,
    given: ClassifyInput,
    reader: _ReaderPlan | None,
    record: RunRecord,
    address: str | None,
    clock: float,
) -> tuple[RunRecord, ClassifyFindings]:
    labels = given.labels
    categories = (*labels.names, OTHER)
    extractions = standing_decisions(tables, EXTRACTIONS)
    groups = standing_decisions(tables, GROUPS, (*categories, ""))

    def keep(extracted: Mapping[str, Decision], grouped: Mapping[str, Decision]) -> None:
        write_decisions(tables, EXTRACTIONS, extracted)
        write_decisions(tables, GROUPS, {**groups, **grouped})

    answers = [answer for system in given.systems for answer in system.answers]
    with _asking(config, reader, address) as asked:
        decided, extracted, grouped = decide(
            answers, labels, extractions=extractions, groups=groups, reader=asked, keep=keep
        )
    write_decisions(tables, EXTRACTIONS, extracted)
    write_decisions(tables, GROUPS, grouped)
    in_order = iter(decided)
    emotions = [[next(in_order) for _ in system.answers] for system in given.systems]
    for system, own in zip(given.systems, emotions, strict=True):
        write_answers(tables, system, own, record)
    scores = _scores(config, given, emotions)
    write_table1(tables, scores, record)
    sample = the_sample(config, tables, given, categories)
    labelled, by = _by_key(given, emotions)
    findings = ClassifyFindings(
        systems=tuple(
            system_findings(
                system.system, system.form, system.answers, own, config.replicates, config.seed
            )
            for system, own in zip(given.systems, emotions, strict=True)
        ),
        scores=scores,
        groups=tuple(sorted(grouped.values(), key=lambda row: (-row.count, row.key))),
        agreement=tuple(agreement(sample, labelled, by)),
        sampled=len(sample),
    )
    record = finished_now(
        record,
        clock,
        counts=RunCounts(input=len(decided), predicted=len(decided), errors=0, strategies={}),
        api_usage=None if reader is None else run_usage(reader.run),
    )
    tables.write(REPORT, html_classified(findings, record).encode())
    write_record(tables, record)
    return record, findings


@contextmanager
def _asking(
    config: ClassifyConfig, plan: _ReaderPlan | None, address: str | None
) -> Iterator[AnswerReader | None]:
    """The reader behind a Ray actor; None without one. The actor starts with the first question."""
    if plan is None:
        yield None
        return
    actors: list[ray.actor.ActorHandle] = []

    def ask(prompts: Sequence[str]) -> list[Generation | Failure]:
        if not actors:
            resources = plan.run.resources
            each = {"gpus": resources.gpus, "cpus": resources.cpus_per_actor}
            check_resources(**each)
            made = ray.remote(
                num_cpus=resources.cpus_per_actor,
                num_gpus=resources.gpus,
                max_restarts=-1,  # on another node; what it is asked does not end its process
                max_task_retries=-1,
            )
            actors.append(made(ReaderActor).remote(plan.run, plan.tokens))
        replies: list[Generation | Failure] = []
        try:
            for at in range(0, len(prompts), _BATCH):
                replies += ray.get(actors[0].ask.remote(prompts[at : at + _BATCH]))
        except RayError as error:
            raise own_error(error) from error
        return replies

    bring_weights(plan.run)
    with ray_session(address):
        yield AnswerReader(plan.run.model.label, ask, config.attempts, config.phrases_per_request)


class ReaderActor:
    """Holds the model that reads answers."""

    def __init__(self, run: RunConfig, tokens: EmotionTokens) -> None:
        self._longest = run.decoding.max_new_tokens
        self._model = load_model(run, tokens)

    def ask(self, prompts: Sequence[str]) -> list[Generation | Failure]:
        """One reply for every prompt.

        Raises:
            EngineError: if the model could not be loaded.
        """
        if isinstance(self._model, str):
            raise EngineError(self._model)
        return ask_texts(prompts, self._model, self._longest)


def _scores(
    config: ClassifyConfig, given: ClassifyInput, emotions: Sequence[Sequence[Decided]]
) -> dict[Form, list[Score]]:
    """The table's cells by form, on the utterances that all systems of a form were asked about."""
    scores: dict[Form, list[Score]] = {}
    forms: tuple[Form, ...] = ("open", "closed")
    for form in forms:
        named: dict[str, dict[str, str]] = {}
        items: dict[str, LabelledItem] = {}
        for system, decided in zip(given.systems, emotions, strict=True):
            if system.form != form:
                continue
            own = named.setdefault(system.system, {})
            for answer, item in zip(system.answers, decided, strict=True):
                if answer.reference is None:
                    continue
                own[answer.utterance_id] = item.label
                items[answer.utterance_id] = LabelledItem(
                    answer.utterance_id,
                    answer.speaker,
                    answer.reference,
                    frozenset(answer.union),
                    answer.majority,
                )
        if not named:
            continue
        common = sorted(set.intersection(*(set(own) for own in named.values())))
        scores[form] = table_scores(
            [items[name] for name in common],
            {system: [own[name] for name in common] for system, own in named.items()},
            given.labels,
            against=config.against,
            by_speaker=config.by_speaker,
            replicates=config.replicates,
            seed=config.seed,
        )
    return scores


def _by_key(
    given: ClassifyInput, emotions: Sequence[Sequence[Decided]]
) -> tuple[dict[Key, str], dict[Key, str]]:
    """Labels, and what decided on the words, by answer."""
    labels: dict[Key, str] = {}
    decided_by: dict[Key, str] = {}
    for system, decided in zip(given.systems, emotions, strict=True):
        for answer, item in zip(system.answers, decided, strict=True):
            key = system.system, system.form, answer.utterance_id
            labels[key], decided_by[key] = item.label, item.extracted_by
    return labels, decided_by


def _record(
    config: ClassifyConfig,
    given: ClassifyInput,
    fingerprint: str,
    identity: Mapping[str, str],
    started: datetime,
) -> RunRecord:
    datasets = sorted({answer.dataset for system in given.systems for answer in system.answers})
    return RunRecord(
        name=config.name,
        run=fingerprint[:12],
        status="running",
        fingerprint=fingerprint,
        generation_fingerprint=fingerprint,
        input_fingerprint=hashlib.sha256("".join(identity.values()).encode()).hexdigest(),
        identity=identity,
        dataset=", ".join(datasets),
        labels=given.labels.names,
        vote_policy=None,
        config=config.model_dump(mode="json"),
        seed=config.seed,
        versions=versions([] if config.reader is None else [config.reader.engine]),
        started=started.isoformat(timespec="seconds"),
    )
