"""The catalogue says of every adapter what its own code says."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from rich.console import Console

from raypipe.corpora import CORPORA, load_corpus
from raypipe.corpora.catalogue import card, catalogue
from raypipe.corpora.readers import READERS
from raypipe.errors import ConfigError
from raypipe.reporting.catalogue import detail, listing


def printed(shown: object, width: int = 80) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(shown)
    return stream.getvalue()


def test_every_adapter_and_reader_is_in_it() -> None:
    cards = catalogue()
    assert [one.name for one in cards] == [*CORPORA, *READERS]
    for one in cards:
        assert one.title, one.name
        assert one.about, one.name
        assert (one.licence is not None) == bool(one.selections) == (one.name in CORPORA)


@pytest.mark.parametrize("name", list(CORPORA))
def test_a_card_is_what_the_adapter_has(name: str) -> None:
    corpus, one = load_corpus(name), card(name)
    assert {option.name: option.default for option in one.options} == corpus.model_dump()
    assert all(option.about for option in one.options), "an option without a description"
    assert [chosen.name for chosen in one.selections] == list(corpus.selections)
    for chosen in one.selections:
        theirs = corpus.selections[chosen.name]
        assert (chosen.labels, chosen.policy) == (theirs.labels.names, theirs.policy)
        assert chosen.note == theirs.note


@pytest.mark.parametrize("name", list(READERS))
def test_a_reader_s_options_are_explained(name: str) -> None:
    one = card(name)
    assert one.kind == "own data"
    assert all(option.about for option in one.options)


def test_an_option_says_what_it_takes() -> None:
    options = {one.name: one for one in card("crema-d").options}
    assert options["modality"].values == "voice | face | audio_visual"
    assert options["modality"].default == "voice"
    assert "given" in options["modality"].about
    assert options["responses"].values == "true | false"


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'timit'.*crema-d.*manifest"):
        card("timit")


@pytest.mark.parametrize("width", [80, 120])
def test_the_list_names_defaults_selections_and_licences(width: int) -> None:
    shown = printed(listing(catalogue()), width)
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= width
    assert "…" not in shown
    words = " ".join(shown.split())
    for text in ("modality=voice", "all (default): 7,442 clips", "CC BY-NC-SA 4.0"):
        assert text in words


@pytest.mark.parametrize("name", [*CORPORA, *READERS])
def test_the_detail_holds_all_of_the_card(name: str) -> None:
    one = card(name)
    words = " ".join(printed(detail(one), 400).split())
    assert "``" not in words
    for option in one.options:
        assert option.about in words
    for chosen in one.selections:
        assert " ".join(chosen.note.split()) in words


def test_the_catalogue_is_data_and_no_docstrings() -> None:
    """An interpreter without docstrings prints the same."""

    def printed_by(*flags: str) -> list[object]:
        command = [sys.executable, *flags, "-m", "raypipe", "corpora", "--json"]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(result.stdout)

    assert printed_by("-OO") == printed_by()
