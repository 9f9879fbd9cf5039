"""What a classify job reads: answers, or predictions, of finished runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raypipe.errors import ConfigError
from raypipe.explain.classify.answers import Form, ReadAnswer, read_answers, reasons_as_asked
from raypipe.labels import LabelSet
from raypipe.metrics.classification import strict_majority
from raypipe.metrics.rows import ANNOTATOR_COLUMNS
from raypipe.parsing.choices import NamedEmotion
from raypipe.runtime.classify.config import AnswersOf, ClassifyConfig
from raypipe.store.location import Location
from raypipe.store.objects import KEYS, read_object
from raypipe.store.parquet import from_parquet_bytes
from raypipe.store.query import connect, table_dataset
from raypipe.store.run_record import RunRecord, read_record
from raypipe.store.schemas import metadata_of, option_order_of
from raypipe.votes import OTHER, AnnotatorLabels

_STEPS = "+cot"
_HEAVY = ("emotion_logits",)


@dataclass(frozen=True, slots=True)
class SystemAnswers:
    """All answers of one row of the table in one form.

    Attributes:
        system: its name.
        form: how the emotion was asked for.
        model: as the run calls it.
        prompt: as the run calls it.
        answers: one per utterance, by id.
    """

    system: str
    form: Form
    model: str
    prompt: str
    answers: tuple[ReadAnswer, ...]


@dataclass(frozen=True, slots=True)
class ClassifyInput:
    """What all systems answered.

    Attributes:
        labels: of all runs.
        systems: every system in every form it has.
        fingerprints: of the runs, by their places.
    """

    labels: LabelSet
    systems: tuple[SystemAnswers, ...]
    fingerprints: Mapping[str, str]


def read_systems(config: ClassifyConfig) -> ClassifyInput:
    """The answers of every system.

    Raises:
        ConfigError: if a run is unfinished, lacks what is asked of it, or has other labels.
        ObjectMissingError: if there is no run.
    """
    systems: list[SystemAnswers] = []
    fingerprints: dict[str, str] = {}
    labels: LabelSet | None = None
    forms: tuple[Form, ...] = ("open", "closed")
    for system in config.systems:
        for form in forms:
            wanted: AnswersOf | None = getattr(system, form)
            if wanted is None:
                continue
            tables = Location.parse(wanted.run, config.storage.endpoint)
            record = read_record(tables)
            if record.status != "finished":
                raise ConfigError(f"{tables.uri}: the run is {record.status}, not finished")
            own = LabelSet(tuple(record.labels))
            if labels is not None and own != labels:
                raise ConfigError(
                    f"{tables.uri}: its labels are {', '.join(own.names)}, those of the run "
                    f"before it {', '.join(labels.names)}"
                )
            labels = own
            fingerprints[tables.uri] = record.fingerprint
            read = _predicted if wanted.strategy is not None else _written
            systems.append(
                read(system.name, form, wanted, tables, record, labels, config.annotator_labels)
            )
    assert labels is not None  # every system has a form
    return ClassifyInput(labels, tuple(systems), fingerprints)


def _written(
    system: str,
    form: Form,
    wanted: AnswersOf,
    tables: Location,
    record: RunRecord,
    labels: LabelSet,
    annotator_labels: AnnotatorLabels,
) -> SystemAnswers:
    """What a model wrote, from ``generations/``."""
    folders: dict[str, list[str]] = {}
    for name in sorted(name for name in tables.list() if name.startswith("generations/")):
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    by_key: dict[tuple[str, str], list[str]] = {}
    for names in folders.values():
        first = metadata_of(from_parquet_bytes(tables.read(names[0]), _HEAVY).schema)
        model, prompt = (first[f"raypipe.{key}"] for key in KEYS)
        by_key[model, prompt] = names
    model, prompt = _chosen(sorted(by_key), wanted, tables)
    chosen = [read_object(tables, name, _HEAVY) for name in by_key[model, prompt]]
    has_options = option_order_of(chosen[0].schema) is not None
    if has_options != (form == "closed"):
        raise ConfigError(
            f"{tables.uri}: system {system}: prompt {prompt} offers "
            f"{'options: it is a closed form' if has_options else 'no options: it is an open form'}"
        )
    steps = _asks_for_steps(record, prompt) if wanted.steps is None else wanted.steps
    answers = [
        answer
        for table in chosen
        for answer in read_answers(
            table, labels, form, steps=steps, annotator_labels=annotator_labels
        )
    ]
    return SystemAnswers(system, form, model, prompt, tuple(_by_id(reasons_as_asked(answers))))


def _predicted(
    system: str,
    form: Form,
    wanted: AnswersOf,
    tables: Location,
    record: RunRecord,
    labels: LabelSet,
    annotator_labels: AnnotatorLabels,
) -> SystemAnswers:
    """Labels that a strategy predicts, from ``predictions/``; a tie names none."""
    del record
    none = ConfigError(f"{tables.uri}: it has no predictions of strategy {wanted.strategy}")
    predictions = table_dataset(tables, "predictions")
    if predictions is None:
        raise none
    annotators = ANNOTATOR_COLUMNS[annotator_labels]
    if annotators not in predictions.schema.names:
        raise ConfigError(
            f"{tables.uri}: its predictions have no column {annotators}: an earlier version wrote "
            "them. raypipe reaggregate writes them again from the run's generations."
        )
    rows = (
        connect(tables)
        .sql(
            "SELECT utterance_id, dataset, split, speaker, model, prompt, plurality,"
            f" {annotators} AS annotators, soft_label, probs, invalid_reason"
            " FROM predictions WHERE strategy = ? ORDER BY utterance_id",
            params=[wanted.strategy],
        )
        .to_arrow_table()
        .to_pylist()
    )
    keys = sorted({(row["model"], row["prompt"]) for row in rows})
    if not keys:
        raise none
    model, prompt = _chosen(keys, wanted, tables)
    answers = [
        _from_prediction(row, labels)
        for row in rows
        if (row["model"], row["prompt"]) == (model, prompt)
    ]
    return SystemAnswers(system, form, model, prompt, tuple(_by_id(answers)))


def _from_prediction(row: Mapping[str, Any], labels: LabelSet) -> ReadAnswer:
    emotion = NamedEmotion(None, None, "none", row["invalid_reason"])
    named = None
    if row["probs"] is not None:
        probs = np.array(row["probs"])
        leading = np.flatnonzero(np.isclose(probs, probs.max()))
        if len(leading) == 1:
            named = labels.names[int(leading[0])]
            emotion = NamedEmotion(named, named, "parser")
        else:
            emotion = NamedEmotion(None, None, "none", "several")
    soft = row["soft_label"]
    return ReadAnswer(
        utterance_id=row["utterance_id"],
        dataset=row["dataset"],
        split=row["split"],
        speaker=row["speaker"],
        reference=row["plurality"],
        union=tuple(sorted(set(row["annotators"] or ()) - {OTHER})),
        majority=soft is not None and bool(strict_majority(np.array([soft]))[0]),
        said=None,
        text=None,
        named=named,
        transcript=None,
        reason=None,
        faults=(),
        emotion=emotion,
        word_errors=None,
    )


def _chosen(
    keys: Sequence[tuple[str, str]], wanted: AnswersOf, tables: Location
) -> tuple[str, str]:
    """The one model and prompt that are meant."""
    fitting = [
        (model, prompt)
        for model, prompt in keys
        if wanted.model in (None, model) and wanted.prompt in (None, prompt)
    ]
    if len(fitting) != 1:
        there = ", ".join(f"{model} with {prompt}" for model, prompt in keys)
        raise ConfigError(
            f"{tables.uri}: model {wanted.model or '(any)'} and prompt {wanted.prompt or '(any)'} "
            f"fit {len(fitting)} of its tables, not one; it has {there}"
        )
    return fitting[0]


def _asks_for_steps(record: RunRecord, prompt: str) -> bool:
    """Whether a prompt of a run is one of the built-in step-by-step variants."""
    config = record.config
    prompts = [config.get("prompt") or {}, *(config.get("prompts") or ())]
    templates = {
        item.get("name") or Path(item["template"]).stem: item["template"]
        for item in prompts
        if item
    }
    return str(templates.get(prompt, prompt)).endswith(_STEPS)


def _by_id(answers: Sequence[ReadAnswer]) -> list[ReadAnswer]:
    return sorted(answers, key=lambda answer: answer.utterance_id)
