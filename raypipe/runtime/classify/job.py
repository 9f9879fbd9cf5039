"""A classify job from its config to its tables; a reader is a Ray actor."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote

import ray
from ray.exceptions import RayError
from rich.console import Console

from raypipe.config import RunConfig
from raypipe.errors import RaypipeError, StoppedError, StoreError, unexpected
from raypipe.explain.classify.answers import Form, ReadAnswer
from raypipe.explain.classify.deciding import Decided, Reader, decide
from raypipe.explain.classify.decisions import Decision, from_csv, reviewed, to_csv
from raypipe.explain.classify.findings import ClassifyFindings, system_findings
from raypipe.explain.classify.sample import (
    Key,
    SampleRow,
    agreement,
    draw_sample,
    read_sample,
    sample_csv,
)
from raypipe.explain.classify.scores import LabelledItem, Score, table_scores
from raypipe.labels import LabelSet
from raypipe.prompts import EXTRACT, GROUP, template_source
from raypipe.records import EmotionTokens, Failure, Generation
from raypipe.reporting.classify.page import html_classified
from raypipe.runtime.classify.config import ClassifyConfig
from raypipe.runtime.classify.reading import ClassifyInput, SystemAnswers, read_systems
from raypipe.runtime.finish.output import refuse_another_run
from raypipe.runtime.finish.partition import partition
from raypipe.runtime.finish.report import REPORT
from raypipe.runtime.finish.versions import versions
from raypipe.runtime.infer.asking import Model, ask_texts
from raypipe.runtime.infer.automatic import Automatic
from raypipe.runtime.infer.devices import Devices, devices
from raypipe.runtime.infer.models import (
    bring_weights,
    check_engine,
    check_files,
    make_engine,
    make_frontend,
    model_fingerprint,
    run_usage,
)
from raypipe.runtime.ray.session import check_resources, own_error, ray_session
from raypipe.store.explain_schemas import ANSWERS, TABLE1
from raypipe.store.location import FINGERPRINT_KEY, Location
from raypipe.store.objects import object_bytes
from raypipe.store.parquet import to_parquet_bytes
from raypipe.store.run_record import RunCounts, RunRecord, Status, write_record
from raypipe.store.strict import table_from_rows
from raypipe.votes import OTHER

EXTRACTIONS, GROUPS, SAMPLE = "extractions.csv", "groups.csv", "sample.csv"
"""Files that a person reviews; the same command obeys what is changed in them."""

TABLE = "table1/table1.parquet"

_WRITTEN = "decided"
"""Folder of the same decisions as they were written last."""

_COLUMNS = {EXTRACTIONS: ("text", "phrase"), GROUPS: ("phrase", "label")}
_BATCH = 64


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
    tables = Location.parse(config.output, config.storage.endpoint)
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
    try:
        record = _carried_out(config, tables, given, reader, record, address, clock)
    except Exception as error:
        status: Status = "stopped" if isinstance(error, StoppedError) else "failed"
        reason = str(error) if isinstance(error, RaypipeError) else unexpected(error)[1]
        with suppress(StoreError):  # what is raised is why the job ended
            write_record(tables, record.changed(status=status, reason=reason))
        raise
    console.print(f"{record.done_counts.input} answers; tables and report.html in {tables.uri}")
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
) -> RunRecord:
    labels = given.labels
    categories = (*labels.names, OTHER)
    extractions = _standing(tables, EXTRACTIONS)
    groups = _standing(tables, GROUPS, (*categories, ""))

    def keep(extracted: Mapping[str, Decision], grouped: Mapping[str, Decision]) -> None:
        _write_decisions(tables, EXTRACTIONS, extracted)
        _write_decisions(tables, GROUPS, {**groups, **grouped})

    answers = [answer for system in given.systems for answer in system.answers]
    with _asking(config, reader, address) as asked:
        decided, extracted, grouped = decide(
            answers, labels, extractions=extractions, groups=groups, reader=asked, keep=keep
        )
    _write_decisions(tables, EXTRACTIONS, extracted)
    _write_decisions(tables, GROUPS, grouped)
    in_order = iter(decided)
    emotions = [[next(in_order) for _ in system.answers] for system in given.systems]
    for system, own in zip(given.systems, emotions, strict=True):
        _write_answers(tables, system, own, record)
    scores = _scores(config, given, emotions)
    rows = [_score_row(form, score, record) for form, cells in scores.items() for score in cells]
    tables.write(TABLE, to_parquet_bytes(table_from_rows(rows, TABLE1), _metadata(record)))
    sample = _sample(config, tables, given, categories)
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
    usage = None if reader is None else run_usage(reader.run)
    record = record.changed(
        counts=RunCounts(input=len(decided), predicted=len(decided), errors=0, strategies={}),
        api_usage=None if usage is None else dataclasses.asdict(usage),
        status="finished",
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - clock, 1),
    )
    tables.write(REPORT, html_classified(findings, record).encode())
    write_record(tables, record)
    return record


def _standing(
    tables: Location, name: str, allowed: Collection[str] | None = None
) -> dict[str, Decision]:
    """Decisions of an earlier time, with what a person has changed since."""
    if not tables.exists(name):
        return {}
    key, value = _COLUMNS[name]
    edited = from_csv(
        tables.read(name).decode("utf-8"), key, value, f"{tables.uri}/{name}", allowed=allowed
    )
    before = f"{_WRITTEN}/{name}"
    written = {}
    if tables.exists(before):
        written = from_csv(tables.read(before).decode("utf-8"), key, value, before)
    return reviewed(written, edited)


def _write_decisions(tables: Location, name: str, decisions: Mapping[str, Decision]) -> None:
    data = to_csv(decisions.values(), *_COLUMNS[name]).encode()
    tables.write(name, data)
    tables.write(f"{_WRITTEN}/{name}", data)


@contextmanager
def _asking(
    config: ClassifyConfig, plan: _ReaderPlan | None, address: str | None
) -> Iterator[Reader | None]:
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
            made = ray.remote(num_cpus=resources.cpus_per_actor, num_gpus=resources.gpus)
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
        yield Reader(plan.run.model.label, ask, config.attempts, config.phrases_per_request)


class ReaderActor:
    """Holds the model that reads answers."""

    def __init__(self, run: RunConfig, tokens: EmotionTokens) -> None:
        self._longest = run.decoding.max_new_tokens
        self._model: Model = make_frontend(run.model), make_engine(run, tokens, ())

    def ask(self, prompts: Sequence[str]) -> list[Generation | Failure]:
        """One reply for every prompt."""
        return ask_texts(prompts, self._model, self._longest)


def _write_answers(
    tables: Location, system: SystemAnswers, decided: Sequence[Decided], record: RunRecord
) -> None:
    rows = [
        _answer_row(system, answer, own, record)
        for answer, own in zip(system.answers, decided, strict=True)
    ]
    place = f"answers/{partition(system.model, system.prompt)}"
    data = object_bytes(
        table_from_rows(rows, ANSWERS),
        model=system.model,
        prompt=system.prompt,
        fingerprint=record.fingerprint,
    )
    tables.write(f"{place}/{quote(system.system, safe=' +')}-{system.form}.parquet", data)


def _answer_row(
    system: SystemAnswers, answer: ReadAnswer, decided: Decided, record: RunRecord
) -> dict[str, object]:
    errors = answer.word_errors
    return {
        "run": record.run,
        "model": system.model,
        "prompt": system.prompt,
        "system": system.system,
        "form": system.form,
        "utterance_id": answer.utterance_id,
        "dataset": answer.dataset,
        "split": answer.split,
        "speaker": answer.speaker,
        "reference": answer.reference,
        "votes_union": list(answer.union),
        "majority": answer.majority,
        "text": answer.text,
        "transcript": answer.transcript,
        "reason": answer.reason,
        "faults": list(answer.faults),
        **dataclasses.asdict(decided),
        "words": None if errors is None else errors.words,
        "substitutions": None if errors is None else errors.substitutions,
        "deletions": None if errors is None else errors.deletions,
        "insertions": None if errors is None else errors.insertions,
    }


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


def _score_row(form: Form, score: Score, record: RunRecord) -> dict[str, object]:
    row = {"run": record.run, "form": form, "starred": score.starred, **dataclasses.asdict(score)}
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in row.items()
    }


def _sample(
    config: ClassifyConfig, tables: Location, given: ClassifyInput, categories: Sequence[str]
) -> list[SampleRow]:
    """The sample as a person left it, or a newly drawn one."""
    if tables.exists(SAMPLE):
        text = tables.read(SAMPLE).decode("utf-8")
        return read_sample(text, f"{tables.uri}/{SAMPLE}", categories)
    texts: dict[Key, str] = {
        (system.system, system.form, answer.utterance_id): answer.text
        for system in given.systems
        for answer in system.answers
        if answer.text is not None
    }
    rows = draw_sample(texts, config.sample, config.seed)
    tables.write(SAMPLE, sample_csv(rows).encode())
    return rows


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


def _metadata(record: RunRecord) -> dict[str, str]:
    return {FINGERPRINT_KEY: record.fingerprint}


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
