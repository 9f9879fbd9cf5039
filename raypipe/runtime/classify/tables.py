"""Tables and files of a classify job, and what a person changed in them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import quote

from raypipe.explain.classify.answers import Form, ReadAnswer
from raypipe.explain.classify.deciding import Decided
from raypipe.explain.classify.decisions import Decision, from_csv, reviewed, to_csv
from raypipe.explain.classify.sample import Key, SampleRow, draw_sample, read_sample, sample_csv
from raypipe.explain.classify.scores import Score
from raypipe.runtime.classify.config import ClassifyConfig
from raypipe.runtime.classify.reading import ClassifyInput, SystemAnswers
from raypipe.runtime.finish.partition import partition
from raypipe.store.explain_schemas import ANSWERS, TABLE1
from raypipe.store.location import FINGERPRINT_KEY, Location
from raypipe.store.objects import object_bytes
from raypipe.store.parquet import to_parquet_bytes
from raypipe.store.run_record import RunRecord
from raypipe.store.strict import table_from_rows

EXTRACTIONS, GROUPS, SAMPLE = "extractions.csv", "groups.csv", "sample.csv"
"""Files that a person reviews; the same command obeys what is changed in them."""

TABLE = "table1/table1.parquet"

_WRITTEN = "decided"
"""Folder of the same decisions as they were written last."""

_COLUMNS = {EXTRACTIONS: ("text", "phrase"), GROUPS: ("phrase", "label")}


def standing_decisions(
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


def write_decisions(tables: Location, name: str, decisions: Mapping[str, Decision]) -> None:
    """Write a file of decisions, and the same beside it as it was written last."""
    data = to_csv(decisions.values(), *_COLUMNS[name]).encode()
    tables.write(name, data)
    tables.write(f"{_WRITTEN}/{name}", data)


def write_answers(
    tables: Location, system: SystemAnswers, decided: Sequence[Decided], record: RunRecord
) -> None:
    """Write the answers of one system and form."""
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


def _score_row(form: Form, score: Score, record: RunRecord) -> dict[str, object]:
    row = {"run": record.run, "form": form, "starred": score.starred, **dataclasses.asdict(score)}
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in row.items()
    }


def the_sample(
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


def write_table1(
    tables: Location, scores: Mapping[Form, Sequence[Score]], record: RunRecord
) -> None:
    """Write the cells of all forms."""
    rows = [_score_row(form, score, record) for form, cells in scores.items() for score in cells]
    data = to_parquet_bytes(table_from_rows(rows, TABLE1), {FINGERPRINT_KEY: record.fingerprint})
    tables.write(TABLE, data)
