"""``raypipe presets`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from in_process import InProcess, utterance
from typer.testing import CliRunner

from raypipe.cli import app
from raypipe.metrics.presets.registry import PRESETS


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["presets", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


@pytest.fixture
def run(fake_engine: None, tmp_path: Path) -> InProcess:
    runs = InProcess(tmp_path)
    rows = [utterance(f"u{number}") for number in range(6)]
    runs.write(*(type(row)(**_parts(row) | {"dataset": "CREMA-D"}) for row in rows))
    runs.reduced(runs.finished(strategies=["greedy", "w_bon"]))
    return runs


def _parts(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


def test_all_presets_are_listed_and_each_states_its_rules() -> None:
    listed = shown()
    for name, preset in PRESETS.items():
        assert name in listed
        rules = shown(name)
        for convention in ("base", "eps", "direction", "ties", "invalid", "subset", "smoothing"):
            assert convention in rules
        assert preset.metrics[0].name in rules


def test_published_figures_stand_below_those_of_a_run_of_their_corpus(run: InProcess) -> None:
    table = shown("tts", run.tables.uri, "--replicates", "20")
    assert "published:" in table
    assert "no one definition gives all printed JS" in table
    assert "whether its utterances are the same is not known" in table


def test_the_document_has_scores_figures_and_warnings(run: InProcess) -> None:
    result = CliRunner().invoke(
        app, ["presets", "tts", run.tables.uri, "--json", "--strategy", "greedy"]
    )
    document = json.loads(result.stdout)
    systems = {score["system"] for score in document["scores"]}
    assert systems == {"greedy", "prior", "uniform"}  # single votes have no halves
    assert {figure["dataset"] for figure in document["published"]} == {"CREMA-D"}
    assert document["conventions"]["ties"].startswith("of labels with equally many votes")
    other = CliRunner().invoke(app, ["presets", "halim", run.tables.uri, "--json"])
    document = json.loads(other.stdout)
    assert document["published"] == []
    assert "halim is of IEMOCAP; this is CREMA-D" in document["warnings"][0]
