"""Nothing that a corpus, a model or a file's name says acts on the terminal."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from edited_record import record_of, write_record_of
from in_process import InProcess
from typer.testing import CliRunner

import raypipe.cli
from raypipe.cli import app
from raypipe.errors import ConfigError
from raypipe.reporting.console import Console
from raypipe.store.objects import object_bytes, read_object

ESCAPES = "\x1b[31m\x1b]0;title\x07\x9b2J\x08\r\x7f\u202e\u2066"


def acting(text: str) -> list[str]:
    """Characters that do something other than being seen."""
    return [
        character
        for character in text
        if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") and character != "\n"
    ]


@pytest.fixture
def run(in_process: InProcess) -> InProcess:
    """A finished run whose ids, strategies, datasets, speakers and messages are hostile."""
    in_process.reduced(in_process.finished(strategies=["greedy"]))
    hostile = {
        "generations": ("utterance_id", "dataset", "speaker", "transcript"),
        "predictions": ("utterance_id", "dataset", "speaker", "strategy"),
        "metrics": ("strategy", "slice"),
    }
    for name in in_process.tables.list():
        table = name.split("/")[0]
        rows = read_object(in_process.tables, name)
        for column in hostile.get(table, ()):
            place = rows.schema.get_field_index(column)
            values = [f"{value}{ESCAPES}" for value in rows[column].to_pylist()]
            rows = rows.set_column(place, rows.schema.field(place), pa.array(values))
        data = object_bytes(rows, model="fake", prompt="distribution", fingerprint="f")
        in_process.tables.write(name, data)
    folder = Path(in_process.tables.uri)
    document = record_of(folder)
    document["name"] += ESCAPES
    write_record_of(folder, document)
    return in_process


@pytest.mark.parametrize(
    "command",
    [
        ["query", "FROM predictions"],
        ["query", "SELECT utterance_id, transcript FROM generations"],
        ["query", "SELECT utterance_id FROM predictions", "--json"],
        ["query", f'SELECT 1 AS "{ESCAPES}"'],
        ["query", "SELECT utterance_id::INTEGER FROM predictions"],
        ["query", f"SELECT '{ESCAPES}' FROM nowhere"],
        ["report"],
        ["compare"],
        ["compare", "--json"],
        ["verify"],
    ],
    ids=lambda command: " ".join(command)[:40].encode("unicode_escape").decode(),
)
def test_commands_print_no_control_character(run: InProcess, command: list[str]) -> None:
    place = ["--run", run.tables.uri] if command[0] == "query" else [run.tables.uri]
    said = CliRunner().invoke(app, [*command, *place])
    shown = said.stdout + said.stderr
    assert len(shown) > 20, repr(said.exception)
    assert acting(shown) == []


def test_an_error_shows_escapes_and_keeps_its_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ConfigError(f"first{ESCAPES}\nsecond")

    monkeypatch.setattr(raypipe.cli, "app", fail)
    with pytest.raises(SystemExit):
        raypipe.cli.main()
    said = capsys.readouterr().err
    assert acting(said) == []
    assert said.splitlines()[1] == "second"
    assert "\\x1b[31m" in said


def test_a_console_keeps_its_own_colours_and_shows_those_of_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Console(force_terminal=True, width=200, color_system="standard").print(
        f"[bold]own[/] {ESCAPES}", highlight=False
    )
    said = capsys.readouterr().out
    assert said.startswith("\x1b[1mown\x1b[0m")
    assert acting(said.replace("\x1b[1m", "").replace("\x1b[0m", "")) == []
    assert "\\x1b[31m" in said


def test_every_console_of_the_package_is_the_safe_one() -> None:
    """The training of the bundled model apart, which prints numbers of its own."""
    package = Path(raypipe.cli.__file__).parents[1]
    unsafe = [
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if "rich.console import Console\n" in path.read_text()
        or "rich.console import Console," in path.read_text()
    ]
    assert [path for path in unsafe if not path.startswith("tiny_alm/training/")] == []
