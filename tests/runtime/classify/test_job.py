"""Classified answers of runs written by hand."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from answered_runs import LABELS, answered_run, unheard
from rich.console import Console

from raypipe.cli.report import report
from raypipe.errors import ConfigError, FingerprintError, StoreError
from raypipe.prompts.options import lettered, option_text
from raypipe.records import OptionOrder
from raypipe.runtime.classify.config import ClassifyConfig
from raypipe.runtime.classify.job import classify
from raypipe.store.location import Location
from raypipe.store.query import query

UTTERANCES = unheard(120)


def tagged(label: str, said: str | None) -> str:
    return (
        f"<asr>{said}</asr><answer>I think the emotion is {option_text(label).lower()}</answer>"
        "<reason>A low voice.</reason>"
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A listener that is mostly right, one that says "gloomy", and one that chooses letters."""
    place = tmp_path_factory.mktemp("runs")
    right = [
        tagged(u.plurality if u.plurality and k % 4 else "neutral", u.transcript)
        for k, u in enumerate(UTTERANCES)
    ]
    gloomy = ["She is feeling wired up." if k % 3 else "She is gloomy." for k in range(120)]
    letters = {option.label: option.letter for option in lettered(LABELS)}
    chosen = [letters[u.plurality or "neutral"] + "." for u in UTTERANCES]
    return {
        "right": str(answered_run(place / "right", right, UTTERANCES)),
        "gloomy": str(answered_run(place / "gloomy", gloomy, UTTERANCES)),
        "letters": str(
            answered_run(
                place / "letters",
                chosen,
                UTTERANCES,
                prompt="closed_form",
                options=OptionOrder(),
            )
        ),
    }


def config(runs: dict[str, str], output: Path, **changes: Any) -> ClassifyConfig:
    systems = [
        {"name": "listener", "open": {"run": runs["right"]}, "closed": {"run": runs["letters"]}},
        {"name": "gloomy", "open": {"run": runs["gloomy"]}},
    ]
    document = {"systems": systems, "output": str(output), "replicates": 200, **changes}
    return ClassifyConfig.model_validate(document)


def carry_out(settings: ClassifyConfig) -> None:
    classify(settings, console=Console(file=io.StringIO()))


def rows(output: Path, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = query(Location.parse(str(output)), sql).to_pylist()
    return found


@pytest.fixture(scope="module")
def classified(runs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("classified") / "out"
    carry_out(config(runs, output))
    return output


def test_every_answer_is_a_row_with_what_decided_it(classified: Path) -> None:
    counted = rows(
        classified,
        "SELECT system, form, extracted_by, grouped_by, count(*) AS n FROM answers "
        "GROUP BY ALL ORDER BY ALL",
    )
    assert [tuple(row.values()) for row in counted] == [
        ("gloomy", "open", "none", "none", 80),
        ("gloomy", "open", "word_map", "word_map", 40),
        ("listener", "closed", "letter", "options", 120),
        ("listener", "open", "parser", "label_set", 120),
    ]
    (listener,) = rows(
        classified,
        "SELECT count(transcript) AS heard, count(reason) AS reasons, sum(deletions) AS missed "
        "FROM answers WHERE system = 'listener' AND form = 'open'",
    )
    assert listener == {"heard": 120, "reasons": 120, "missed": 0}


def test_the_table_has_every_cell_with_its_denominator_and_star(classified: Path) -> None:
    cells = rows(classified, "SELECT * FROM table1")
    assert len(cells) == 2 * 4 + 4
    decided = [u for u in UTTERANCES if u.plurality is not None]
    whole = [cell for cell in cells if cell["subset"] == "all"]
    assert {cell["n"] for cell in whole} == {len(decided)}
    by = {(c["system"], c["form"], c["subset"], c["scoring"]): c for c in cells}
    assert by["listener", "open", "all", "mv"]["starred"]
    assert by["listener", "open", "all", "mv"]["against"] == "gloomy"
    assert by["gloomy", "open", "all", "mv"]["other"] == pytest.approx(2 / 3 * len(decided), abs=8)
    assert by["listener", "closed", "all", "mv"]["macro_f1"] == 1.0
    assert by["listener", "closed", "all", "mv"]["against"] is None
    page = (classified / "report.html").read_text()
    assert "listener is better than gloomy on the open form" in page
    assert "Content-Security-Policy" in page


def edited(path: Path, column: str, change: Any) -> None:
    table = list(csv.DictReader(io.StringIO(path.read_text())))
    for row in table:
        row[column] = change(row)
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    path.write_text(out.getvalue())


def test_a_person_is_obeyed_by_the_same_command(runs: dict[str, str], tmp_path: Path) -> None:
    settings = config(runs, tmp_path / "out")
    carry_out(settings)
    before = (tmp_path / "out" / "table1" / "table1.parquet").read_bytes()
    carry_out(settings)
    assert (tmp_path / "out" / "table1" / "table1.parquet").read_bytes() == before
    edited(tmp_path / "out" / "groups.csv", "label", lambda row: "fear")
    edited(
        tmp_path / "out" / "extractions.csv",
        "phrase",
        lambda row: row["phrase"] or ("wired up" if "wired" in row["text"] else ""),
    )
    edited(
        tmp_path / "out" / "sample.csv",
        "label",
        lambda row: "fear" if row["system"] == "gloomy" and "gloomy" in row["text"] else "",
    )
    carry_out(settings)
    labels = rows(
        tmp_path / "out",
        "SELECT label, extracted_by, grouped_by, count(*) AS n FROM answers "
        "WHERE system = 'gloomy' GROUP BY ALL ORDER BY ALL",
    )
    assert [tuple(row.values()) for row in labels] == [
        ("fear", "word_map", "person", 40),
        ("other", "person", "none", 80),
    ]
    assert "Share of hand-labelled answers" in (tmp_path / "out" / "report.html").read_text()
    carry_out(settings)  # what the person changed stays the person's
    groups = (tmp_path / "out" / "groups.csv").read_text()
    assert "gloomy,fear,person,40" in groups
    edited(tmp_path / "out" / "groups.csv", "label", lambda row: "scary")
    with pytest.raises(ConfigError, match=r"groups\.csv, line 2: label 'scary' is none of"):
        carry_out(settings)


def test_another_job_is_refused(classified: Path, runs: dict[str, str]) -> None:
    with pytest.raises(FingerprintError, match="seed"):
        carry_out(config(runs, classified, seed=5))


def test_runs_tables_and_corrections_may_lie_in_object_storage(bucket: Location) -> None:
    texts = ["She is gloomy." if k % 2 else "I think the emotion is sad." for k in range(120)]
    run = answered_run(bucket.child("run").uri, texts, UTTERANCES)
    output = bucket.child("out")
    settings = ClassifyConfig.model_validate(
        {"systems": [{"name": "s", "open": {"run": run}}], "output": output.uri, "replicates": 100}
    )
    carry_out(settings)
    groups = output.read("groups.csv").decode()
    assert "gloomy,sadness,word_map,60" in groups
    output.write("groups.csv", groups.replace("gloomy,sadness", "gloomy,fear").encode())
    carry_out(settings)
    counted = query(output, "SELECT label, count(*) AS n FROM answers GROUP BY ALL ORDER BY label")
    assert counted.to_pylist() == [{"label": "fear", "n": 60}, {"label": "sadness", "n": 60}]
    assert output.exists("report.html")


def test_its_report_is_written_by_the_same_command(classified: Path) -> None:
    with pytest.raises(StoreError, match="start the same command again"):
        report(str(classified))
