"""Labels that would like to be markup, formulas or commands are words wherever they are shown."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from in_process import InProcess, utterance
from typer.testing import CliRunner

from raypipe.cli import app
from raypipe.labels import LabelSet
from raypipe.records import Vote
from raypipe.reporting.corpus.inspect import inspect_shards
from raypipe.reporting.corpus.page import html_inspection
from raypipe.reporting.view.selection import ColumnFilter, ViewSelection
from raypipe.shards import write_shards
from raypipe.store.location import Location

LABELS = (
    "<script>document.title='hacked'</script>",
    '"><img src=x onerror="document.title=\'hacked\'">',
    "</style></title></textarea><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raise %}",
    "=cmd|' /c calc'!a1",
    "\\input{/etc/passwd} $\\frac{$ & 100% #1",
)


class Elements(HTMLParser):
    """Names of a page's elements and of their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def is_harmless(html: str, *, shows: tuple[str, ...] = ()) -> None:
    page = Elements(html)
    assert page.tags.isdisjoint({"script", "img", "iframe", "object", "base"})
    assert not [name for name in page.attributes if name.startswith("on")]
    assert html.count("</style>") == html.count("<style")
    for label in shows:
        assert label[:24] in page.text  # a long one is cut where there is no room


@pytest.fixture
def odd_run(fake_engine: None, tmp_path: Path) -> InProcess:
    """A finished run whose labels are hostile."""
    runs = InProcess(tmp_path)
    rows = []
    for number in range(12):
        own = LABELS[number % len(LABELS)]
        soft = tuple(0.75 if label == own else 0.05 for label in LABELS)
        votes = (Vote("a", (own,)), Vote("b", (own,)), Vote("c", (LABELS[0],)))
        changes = {"votes": votes, "soft_label": soft, "plurality": own}
        rows.append(dataclasses.replace(utterance(f"u{number}"), **changes))
    place = Location.parse(str(runs.shards))
    write_shards(rows, place, LabelSet(LABELS), source="test", rows_per_shard=6)
    runs.reduced(runs.finished(strategies=["greedy", "w_bon", "token_softmax"]))
    return runs


def asked(run: InProcess, sql: str, *options: str) -> str:
    done = CliRunner().invoke(app, ["query", sql, "--run", run.tables.uri, *options])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_in_the_report_and_the_page_about_the_corpus(odd_run: InProcess) -> None:
    is_harmless(odd_run.tables.read("report.html").decode(), shows=LABELS)
    found = inspect_shards(Location.parse(str(odd_run.shards)))
    is_harmless(html_inspection(found), shows=LABELS)


def test_in_the_pages_of_the_view(odd_run: InProcess, serve: Any) -> None:
    with serve(odd_run.tables.uri) as running:
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

        def page(path: str) -> str:
            with browser.open(f"http://127.0.0.1:{running.port}{path}") as reply:
                text: str = reply.read().decode()
                return text

        with browser.open(running.address) as reply:
            is_harmless(reply.read().decode())
        for number, label in enumerate(LABELS):
            is_harmless(page(f"/utterance?id=u{number}"), shows=LABELS)
            chosen = ViewSelection(filters=(ColumnFilter("predicted", "is", label),))
            is_harmless(page(chosen.address("/")), shows=(label,))
        is_harmless(page("/errors"))


def test_in_csv_and_latex(odd_run: InProcess) -> None:
    sql = "SELECT DISTINCT plurality, labels FROM predictions ORDER BY plurality"
    head, *rows = csv.reader(io.StringIO(asked(odd_run, sql, "--csv")))
    assert head == ["plurality", "labels"]
    assert {row[0].removeprefix("'") for row in rows} == set(LABELS)
    assert not [cell for row in rows for cell in row if cell[0] in "=+-@\t\r"]
    pivoted = asked(
        odd_run,
        "PIVOT (SELECT strategy, label, share FROM distributions) ON label USING avg(share)",
        "--csv",
    )
    names = next(csv.reader(io.StringIO(pivoted)))
    assert {name.removeprefix("'") for name in names} == {"strategy", *LABELS}
    assert not [name for name in names if name[0] in "=+-@\t\r"]

    latex = asked(odd_run, sql, "--latex")
    body = latex.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    plain = re.sub(r"\\text(backslash|asciitilde|asciicircum)\{\}", "", body)
    commands = set(re.findall(r"\\([a-z]+)", plain))
    assert commands == set(), "nothing that a label says is a command"
    assert not re.search(r"(?<!\\)[%#$]", plain), "nor ends a line or begins a formula"
