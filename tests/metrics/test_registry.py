"""Metrics that lack a part, contradict themselves or clash are refused with the reason."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers import LABELS, some_answers, table_of

from raypipe.errors import AccountingError, RegistryError
from raypipe.metrics import statistics
from raypipe.metrics.catalogue.jensen_shannon import JS
from raypipe.metrics.kinds import AurocMetric, CostMetric, SumsMetric, UtteranceMetric
from raypipe.metrics.metric import NEVER, Metric, Section
from raypipe.metrics.reduce import CorpusSummary, MetricState
from raypipe.metrics.registry import METRICS, collect
from raypipe.metrics.sums import VALID

BASE: dict[str, Any] = {
    "name": "mine",
    "title": "Mine",
    "description": "a metric",
    "range": (0.0, 1.0),
    "better": "lower",
    "undefined": NEVER,
    "source": "here",
    "section": Section.DISTRIBUTION,
    "rank": 999,
}
UTTERANCE = BASE | {"function": lambda truth, prediction: truth[:, 0]}
SUMS = BASE | {"add": (VALID,), "function": lambda sums: sums[VALID], "count": VALID}


@pytest.mark.parametrize("part", BASE)
@pytest.mark.parametrize("kind", [UtteranceMetric, SumsMetric, AurocMetric, CostMetric])
def test_no_part_may_be_left_out(kind: type[Metric], part: str) -> None:
    given = {name: value for name, value in BASE.items() if name != part}
    with pytest.raises(TypeError, match=f"missing .*'{part}'"):
        kind(**given)


def test_every_declared_part_without_a_default_is_tried() -> None:
    assert {field.name for field in fields(CostMetric)} == {*BASE, "unit", "headline", "narrow"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Mine"}, "'Mine': name: must be lower case"),
        ({"name": "js_skill"}, "name: .*derived rows"),
        ({"name": "js.median"}, "name: "),
        ({"title": " "}, "'mine': title: is empty"),
        ({"description": ""}, "description: is empty"),
        ({"description": "two\nlines"}, "description: must be one line"),
        ({"undefined": ""}, "undefined: is empty"),
        ({"source": ""}, "source: is empty"),
        ({"range": (1.0, 1.0)}, "range: "),
        ({"better": "less"}, "better: 'less' is none of lower, higher, neither"),
        ({"better": "neither", "headline": True}, "headline: "),
        ({"better": "neither", "skill": True}, "skill: needs a finite best value"),
        ({"better": "higher", "range": (0.0, np.inf), "skill": True}, "skill: needs a finite"),
        ({"undefined": "at times", "skill": True}, "skill: needs a value for every valid"),
        ({"invalid_as_uniform": False, "uniform_value": np.sum}, "uniform_value: "),
    ],
)
def test_a_contradictory_declaration_is_refused(change: dict[str, Any], message: str) -> None:
    UtteranceMetric(**UTTERANCE)
    with pytest.raises(RegistryError, match=message):
        UtteranceMetric(**(UTTERANCE | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"skill": True}, "per_utterance: is needed"),
        ({"difference": True}, "per_utterance: is needed"),
        ({"uniform": np.sum}, "uniform_count: goes with uniform"),
        ({"per_label": True, "headline": True}, "per_label: "),
    ],
)
def test_a_contradictory_metric_of_sums_is_refused(change: dict[str, Any], message: str) -> None:
    SumsMetric(**SUMS)
    with pytest.raises(RegistryError, match=message):
        SumsMetric(**(SUMS | change))


def test_an_auroc_has_one_source_of_uncertainty() -> None:
    for change in ({}, {"function": np.sum, "column": "entropy"}):
        with pytest.raises(RegistryError, match="either a function or a column"):
            AurocMetric(**BASE, **change)


# --- scanning a folder ------------------------------------------------------------------------

HEAD = """
from raypipe.metrics.kinds import CostMetric, SumsMetric
from raypipe.metrics.metric import NEVER, Section
from raypipe.metrics.sums import VALID, Summand

def metric(name, rank, **change):
    base = dict(name=name, title="T", description="d", range=(0.0, 1.0), better="lower",
                undefined=NEVER, source="s", section=Section.COST, rank=rank)
    return CostMetric(**(base | change))

def of_sums(name, rank, summand):
    return SumsMetric(name=name, title="T", description="d", range=(0.0, 1.0), better="lower",
                      undefined=NEVER, source="s", section=Section.COST, rank=rank,
                      add=(summand,), function=lambda sums: sums[VALID], count=VALID)
"""

Package = Callable[..., str]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """A package of the given modules, importable during the test."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(**modules: str) -> str:
        folder = tmp_path / "made_up_metrics"
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        for name, text in modules.items():
            (folder / f"{name}.py").write_text(HEAD + textwrap.dedent(text))
        importlib.invalidate_caches()
        return folder.name

    yield make
    for name in [name for name in sys.modules if name.split(".")[0] == "made_up_metrics"]:
        del sys.modules[name]


def test_modules_are_found_and_metrics_sorted(package: Package) -> None:
    made = package(
        a='METRICS = (metric("late", 9, section=Section.COST),)',
        b='METRICS = (metric("second", 2), metric("first", 1),)',
        c='METRICS = (metric("top", 9, section=Section.DISTRIBUTION),)',
    )
    assert list(collect(made)) == ["top", "first", "second", "late"]


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({"a": ""}, r"made_up_metrics\.a names no metric: METRICS is missing or empty"),
        ({"a": "METRICS = ()"}, "names no metric"),
        ({"a": "METRICS = ('js',)"}, "names no metric"),
        (
            {"a": 'X = metric("x", 1)\nMETRICS = (metric("y", 2),)'},
            r"made_up_metrics\.a: X is not among its METRICS",
        ),
        (
            {"a": 'METRICS = (metric("x", 1),)', "b": 'METRICS = (metric("x", 2),)'},
            "two metrics, 'x' and 'x', have name x",
        ),
        (
            {"a": 'METRICS = (metric("x", 1), metric("y", 1))'},
            "two metrics, 'x' and 'y', have rank 1 in section COST",
        ),
        (
            {
                "a": 'METRICS = (of_sums("x", 1, Summand("s", lambda scored: scored.valid)),)',
                "b": 'METRICS = (of_sums("y", 2, Summand("s", lambda scored: scored.given)),)',
            },
            "metric 'y': another summand is named s",
        ),
        ({"a": 'METRICS = (metric("x", 1, description=""),)'}, "metric 'x': description: is empty"),
    ],
)
def test_a_faulty_folder_is_refused(
    package: Package, modules: dict[str, str], message: str
) -> None:
    made = package(**modules)
    with pytest.raises(RegistryError, match=message):
        collect(made)


def test_a_metric_may_be_imported_by_another_module(package: Package) -> None:
    made = package(
        a='from made_up_metrics.b import X\nMETRICS = (metric("y", 2),)',
        b='X = metric("x", 1)\nMETRICS = (X,)',
    )
    assert list(collect(made)) == ["x", "y"]


# --- functions that do not keep their declaration -----------------------------------------------


def reduce_with(metric: UtteranceMetric, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(some_answers(60))
    monkeypatch.setattr("raypipe.metrics.registry.PER_UTTERANCE", (metric,))
    monkeypatch.setattr(statistics, "PER_UTTERANCE", (metric,))
    summary = CorpusSummary.from_table(table, LABELS)
    MetricState.from_table(table, summary.frame, LABELS, replicates=0)


def test_a_missing_value_that_was_declared_impossible_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metric = UtteranceMetric(
        **(UTTERANCE | {"function": lambda truth, prediction: np.full(len(truth), np.nan)})
    )
    with pytest.raises(AccountingError, match="'mine' has no value for a valid prediction"):
        reduce_with(metric, monkeypatch)


def test_a_function_of_the_wrong_shape_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = UtteranceMetric(**(UTTERANCE | {"function": lambda truth, prediction: truth}))
    with pytest.raises(ValueError, match=r"'mine': \(\d+, 4\) values for \d+ utterances"):
        reduce_with(metric, monkeypatch)


def test_metrics_cannot_be_changed_at_run_time() -> None:
    with pytest.raises(TypeError):
        METRICS["mine"] = JS  # type: ignore[index]
    with pytest.raises(AttributeError):
        JS.rank = 3  # type: ignore[misc]
