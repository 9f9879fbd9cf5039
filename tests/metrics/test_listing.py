"""The list of metrics, in the terminal, as JSON and in the README of the folder."""

from __future__ import annotations

import json
import math
import re

import pytest
from typer.testing import CliRunner

from raypipe.cli import app
from raypipe.errors import RegistryError
from raypipe.generated import with_table
from raypipe.metrics.bins import BINS
from raypipe.metrics.listing import README, documents, markdown
from raypipe.metrics.registry import METRICS

TEXT = README.read_text(encoding="utf-8")


def test_the_readme_has_the_present_metrics() -> None:
    assert with_table(TEXT, "metrics", markdown()) == TEXT, (
        "write it again: python -m raypipe.metrics.listing"
    )
    for metric in METRICS.values():
        assert f"| `{metric.row_names[0]}` | {metric.title} |" in TEXT
        assert metric.description.replace("|", "\\|") in TEXT


def test_a_readme_without_marks_is_refused() -> None:
    with pytest.raises(RegistryError, match="there is no <!-- metrics: generated -->"):
        with_table("# Metrics", "metrics", "")


def test_the_readme_s_first_example_runs() -> None:
    example = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.M | re.S)[0]
    exec(example, {})


def test_the_readme_names_the_bins() -> None:
    assert f"`ambiguity_count_{BINS}`" in TEXT
    assert f"`ambiguity_width_{BINS}`" in TEXT


def test_the_command_lists_every_metric() -> None:
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["metrics"])
    assert shown.exit_code == 0
    for metric in METRICS.values():
        assert metric.name in shown.output


def test_the_command_gives_json() -> None:
    shown = CliRunner().invoke(app, ["metrics", "--json"])
    listed = json.loads(shown.output)
    assert listed == documents()
    assert [document["name"] for document in listed] == list(METRICS)
    by_name = {document["name"]: document for document in listed}
    assert by_name["js"]["rows"] == [
        "js",
        "js.invalid_as_uniform",
        "js_skill",
        "js_human_skill",
        "js.median",
    ]
    assert by_name["js"]["column"]
    assert by_name["js"]["headline"]
    assert by_name["f1"]["rows"] == ["f1=<label>"]
    assert by_name["r2_det"]["range"] == [None, 1.0]
    for document in listed:
        assert all(end is None or math.isfinite(end) for end in document["range"])
