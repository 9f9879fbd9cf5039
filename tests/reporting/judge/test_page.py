"""The page about a judge: well-formed, says what the verdicts say, safe with hostile texts."""

from __future__ import annotations

import dataclasses
import io
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from rich.console import Console

from raypipe.explain.judge.pairs import ReasonPair
from raypipe.explain.judge.table import AnsweredPair, judgements_table
from raypipe.reporting.judge.page import headline, html_judgements, tallies_in, tallies_in_terminal
from raypipe.store.run_record import RunCounts, RunRecord

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e"
ROWS = [
    AnsweredPair(
        ReasonPair(
            f"u{at}", f"s{at % 12}", ("anger", "fear")[at % 2], "loud", "quiet", at % 3 == 0
        ),
        None,
        *answers,
    )
    for at, answers in enumerate([("A", "B")] * 30 + [("B", "A")] * 4 + [("A", "A"), ("x", "A")])
]


def page(rows: list[AnsweredPair], name: str = "tuned") -> tuple[str, RunRecord]:
    table = judgements_table(
        rows, run="r", model="m", prompt="judge", prompt_hash="h", systems=(name, "plain")
    )
    record = RunRecord(
        name=name,
        run="r",
        status="finished",
        fingerprint="f",
        generation_fingerprint="f",
        labels=("anger", "fear"),
        config={
            "first": {"name": name},
            "second": {"name": "plain"},
            "model": {"path": "p", "name": f"judge {name}"},
            "audio": False,
            "shards": None,
        },
        seed=0,
        versions={"raypipe": "0"},
        started=datetime.now(UTC).isoformat(),
        counts=RunCounts(input=len(rows), predicted=len(rows), errors=0, strategies={}),
        api_usage={"requests": 72},
    )
    return html_judgements(table, record), record


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_says_what_the_verdicts_say() -> None:
    text, record = page(ROWS)
    Tags(text)
    assert "tuned wins 87.1\xa0% [" in text
    assert "against plain over 35 pairs: a preference beyond chance." in text
    for words in ("Both verdicts prefer tuned", "Both verdicts prefer plain", "Cannot be read"):
        assert words in text
    assert "Speakers; " not in text
    assert "1 of 72" in text  # verdicts that cannot be read
    table = judgements_table(
        ROWS, run="r", model="m", prompt="judge", prompt_hash="h", systems=("tuned", "plain")
    )
    tallies = tallies_in(table, record)
    sink = io.StringIO()
    Console(file=sink, width=160).print(tallies_in_terminal(tallies, record))
    assert [tally.group for tally in tallies] == ["overall", "anger", "fear"]
    assert "overall" in sink.getvalue()
    assert "87.1" in sink.getvalue()


def test_of_few_speakers_there_is_no_interval() -> None:
    few = [
        dataclasses.replace(row, pair=dataclasses.replace(row.pair, speaker=f"s{at % 5}"))
        for at, row in enumerate(ROWS)
    ]
    text, _ = page(few)
    assert "tuned wins 87.1\xa0% against plain over 35 pairs: too few speakers to tell" in text
    assert "Speakers; so few that there are no intervals" in text


def test_nothing_hostile_gets_into_the_page() -> None:
    pair = ReasonPair(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, first_is_a=True)
    text, _ = page([AnsweredPair(pair, HOSTILE, HOSTILE, HOSTILE)], name=HOSTILE)
    assert "script" not in Tags(text).seen
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("rows", [[], ROWS[-1:]], ids=["nothing", "nothing that can be read"])
def test_without_verdicts_there_is_a_page_all_the_same(rows: list[AnsweredPair]) -> None:
    text, record = page(rows)
    Tags(text)
    assert "No pair has two verdicts that can be read." in text
    assert headline(
        tallies_in(
            judgements_table(
                rows, run="r", model="m", prompt="judge", prompt_hash="h", systems=("a", "b")
            ),
            record,
        )[0],
        record,
    ).startswith("No pair")


def test_a_judge_that_goes_by_position_is_called_that() -> None:
    always = [dataclasses.replace(row, first_as_a="A", second_as_a="A") for row in ROWS[:30]]
    text, _ = page(always)
    assert "The judge goes by position: 100 % of the pairs get another verdict" in text
