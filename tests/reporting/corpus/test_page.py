"""The page: well-formed, safe with hostile names, whole for every kind of corpus."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from small_corpus import BARE, LABELS, Write, utterance

from raypipe.records import Failure, Utterance, Vote
from raypipe.reporting.corpus.findings import Findings
from raypipe.reporting.corpus.inspect import inspect_shards
from raypipe.reporting.corpus.page import html_inspection, write_inspection
from raypipe.store.location import Location
from raypipe.votes import VotePolicy

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e"
VOID = {"meta", "path", "use", "br"}


class Page(HTMLParser):
    """Collects tags and text, and checks that every tag is closed in its place."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.texts).split())


def found_in(write: Write, shards: Location, rows: list[Utterance | Failure]) -> Findings:
    write(rows)
    return inspect_shards(shards, slice_by="speaker")


def test_the_page_says_and_draws_what_was_found(write: Write, shards: Location) -> None:
    rows = [
        utterance("1", "anger", "anger", "joy", speaker="s1", duration_s=1.0),
        replace(
            BARE,
            utterance_id="2",
            votes=(Vote("a", ("joy",), "wistful", arousal=3.0), Vote("self:b", ("calm",))),
            duration_s=3.0,
        ),
        Failure("x", "ingest", "missing_audio", "x.wav is not there"),
    ]
    page = Page(html_inspection(found_in(write, shards, rows)))
    assert page.tags.count("svg") == 5  # labels, entropy, votes, durations, typed texts
    for words in (
        "3 inputs = 2 utterances",
        "s alpha",
        "wistful",
        "x.wav is not there",
        "1 self-reports on 1 utterances, not counted as votes: calm 1",
        "arousal",
        "By speaker",
    ):
        assert words in page.words


def test_nothing_hostile_gets_into_the_page(write: Write, shards: Location) -> None:
    row = replace(
        BARE,
        dataset=HOSTILE,
        split=HOSTILE,
        speaker=HOSTILE,
        votes=(Vote(HOSTILE, (HOSTILE,), HOSTILE), Vote("self:x", (HOSTILE,)), Vote("b", ("joy",))),
        consensus=HOSTILE,
    )
    rows = [row, Failure(HOSTILE, "ingest", HOSTILE, HOSTILE)]
    text = html_inspection(found_in(write, shards, rows))
    page = Page(text)
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.words
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [replace(BARE, duration_s=0.0)],
        [utterance("1", "joy")],
        [utterance(f"{n}", soft_label=(0.2, 0.3, 0.5)) for n in range(4)],
        [replace(BARE, votes=tuple(Vote(f"w{n}", ("joy",)) for n in range(1000)))],
        [utterance(str(n), duration_s=seconds) for n, seconds in enumerate([1.0] * 300 + [900.0])],
    ],
    ids=["empty", "silent", "one vote", "no votes", "a crowd", "one long"],
)
def test_every_kind_of_corpus_has_a_page(
    write: Write, shards: Location, rows: list[Utterance | Failure]
) -> None:
    page = Page(html_inspection(found_in(write, shards, rows)))
    assert "nan" not in page.words.lower().split()
    assert "What the words mean" in page.words


def test_the_files_are_written_wherever_they_are_wanted(write: Write, place: Location) -> None:
    write([utterance("1", "joy", "calm")], VotePolicy(rule="split"), place=place.child("shards"))
    found = inspect_shards(place.child("shards"))
    write_inspection(found, place.child("told"))
    assert place.read("told/inspect.html").startswith(b"<!DOCTYPE html>")
    document = json.loads(place.read("told/inspect.json"))
    assert Findings.model_validate(document) == found
    assert [one["label"] for one in document["labels"]] == list(LABELS.names)


def test_two_pages_of_one_corpus_are_the_same_bytes(
    write: Write, shards: Location, tmp_path: Path
) -> None:
    write([utterance("1", "joy", "calm"), utterance("2", "joy")])
    pages = {html_inspection(inspect_shards(shards)) for _ in range(2)}
    assert len(pages) == 1
