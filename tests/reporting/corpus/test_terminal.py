"""The terminal's tables: every width, every kind of corpus."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console
from small_corpus import BARE, Write, utterance

from raypipe.records import Failure, Utterance, Vote
from raypipe.reporting.corpus.inspect import inspect_shards
from raypipe.reporting.corpus.terminal import inspection
from raypipe.shards import read_index
from raypipe.store.location import Location
from raypipe.votes import VotePolicy


def printed(shards: Location, width: int = 80, slice_by: str | None = None) -> str:
    stream = io.StringIO()
    found = inspect_shards(shards, slice_by=slice_by)  # type: ignore[arg-type]
    Console(file=stream, width=width).print(inspection(found))
    return stream.getvalue()


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_cut_or_too_long(write: Write, shards: Location, width: int) -> None:
    rows = [
        utterance(f"u{n}", *["anger"] * (n % 3 + 1), "joy", speaker=f"speaker {n % 30}")
        for n in range(60)
    ]
    write(rows, VotePolicy(rule="primary+secondary", merges={"fury": "anger"}))
    shown = printed(shards, width, "speaker")
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    assert "10 more are in --json." in shown
    assert "rule primary+secondary; merges fury as anger" in words(shown)


def test_the_figures_are_on_the_screen(write: Write, shards: Location) -> None:
    write(
        [
            utterance("1", "anger", "anger", "joy", split="train"),
            utterance("2", "joy", "calm", "bored", split="test"),
            Failure("x", "ingest", "missing_audio", "x.wav is not there"),
        ]
    )
    shown = words(printed(shards, 100, "split"))
    for text in (
        "5 that count, 2 to 3 per utterance; 1 outside the label set",
        "train 1 and test 1",
        "Unanimous 0 (0.0 %), majority 1 (50.0 %), ties 1 (50.0 %).",
        "On 5 first labels that count, 2 to 3 for each of 2 utterances.",
        "Failed: 1",
        "missing_audio 1 x.wav is not there",
        "3, each with 2 votes",
    ):
        assert text.replace(" %", "\xa0%") in shown or text in shown, text


def test_markup_in_names_is_only_text(write: Write, shards: Location) -> None:
    name = "[bold red]x[/]\x1b[2J"
    row = replace(BARE, speaker=name, dataset=name, votes=(Vote("a", ("joy",), name),))
    write([row, Failure(name, "ingest", name, name)])
    shown = printed(shards, 120, "speaker")
    assert shown.count("[bold red]x[/]") >= 4
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], "There is no utterance."),
        ([replace(BARE, duration_s=0.0)], "1 of 1 utterances have no duration."),
        ([utterance("1", "joy")], "Agreement is undefined: no utterance has two ratings or more."),
        (
            [utterance("1", "joy", "joy"), utterance("2", "joy", "joy")],
            "Agreement is undefined: all ratings are for one label.",
        ),
        ([utterance("1", soft_label=(0.2, 0.3, 0.5))], "Mean 1.485 bits"),
    ],
    ids=["empty", "silent", "one vote", "one label", "no votes"],
)
def test_what_is_missing_is_said(
    write: Write, shards: Location, rows: list[Utterance | Failure], expected: str
) -> None:
    write(rows)
    assert expected in words(printed(shards))


def test_a_crowd_is_shown_in_ranges(write: Write, shards: Location) -> None:
    rows = [
        replace(
            BARE, utterance_id=str(n), votes=tuple(Vote(f"w{w}", ("joy",)) for w in range(n, 1000))
        )
        for n in range(0, 900, 100)
    ]
    write(rows)
    shown = printed(shards)
    assert "1,000, each with 1 to 9 votes" in words(shown)
    assert len(shown.splitlines()) < 70


def test_what_ingest_recorded_is_shown(write: Write, shards: Location) -> None:
    write([utterance("1", "joy")])
    index = read_index(shards).model_copy(
        update={
            "licence": "ODbL",
            "selection": "majority",
            "audio": "flac",
            "kept_original": {"WAV/FLOAT": 1},
        }
    )
    shards.write("shards.json", index.model_dump_json().encode())
    shown = words(printed(shards))
    assert "Audio FLAC, but for WAV/FLOAT 1" in shown
    assert "Selection majority" in shown
    assert "Licence ODbL" in shown
