"""The walk through the explainable framework on its page, executed as it stands."""

from __future__ import annotations

import re
import shlex
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from docs_world import World, check_command, check_config
from markdown_blocks import blocks

from raypipe.runtime.ray.session import ray_session
from raypipe.store.location import Location
from raypipe.store.query import query

PAGE = "raypipe/explain/README.md"
PORT = "8765"
SHOWN = ("system", "form", "subset", "scoring", "macro_f1", "low", "high", "difference_low")


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder, from which Ray is started: the adapters' paths are relative."""
    monkeypatch.chdir(tmp_path)
    with ray_session():
        yield tmp_path


def walk(folder: Path) -> None:
    world = World(folder, endpoint="", document={}, numbers={PORT: free_port()})
    try:
        for block in blocks(PAGE):
            start = time.monotonic()
            world.execute(block)
            print(f"line {block.line}: {time.monotonic() - start:.0f} s")
    finally:
        world.stop_servers()


def rows(path: Path) -> list[dict[str, object]]:
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def check_pages(folder: Path) -> None:
    """Whatever comes of what a stand-in said or wrote is marked as such."""
    pages = sorted((folder / "runs").glob("*/report.html"))
    assert len(pages) == 11
    before = {"zero-shot", "walk-heads", "tuned-without", "without-reasons"}
    for page in pages:
        if page.parent.name not in before:
            assert "stand-in" in re.findall(r"<h1.*?</h1>", page.read_text(), re.DOTALL)[0], page
    sheets = list((folder / "runs/study/sheets").iterdir())
    assert len(sheets) == 10
    for sheet in sheets:
        assert "stand-in teacher (a script)" in sheet.read_text()


def test_its_configs_and_commands_are_right_as_far_as_can_be_seen() -> None:
    """What takes a quarter of an hour is run before a release; this much always."""
    outputs = set()
    for block in blocks(PAGE):
        assert block.not_run is None, "all of the walk is run"
        if block.language == "yaml":
            assert check_config(block, {}) is None or "prompts" in block.text
            outputs.add(yaml.safe_load(block.text)["output"])
        elif block.language == "":
            for words in block.commands():
                if words[0] == "raypipe":
                    check_command(words, block.where)
    # What a step reads, an earlier one wrote.
    text = "".join(block.text for block in blocks(PAGE))
    read = set(re.findall(r"(?<!output: )\b(?:runs|training)/(?!words|study)[\w-]+", text))
    assert read <= outputs


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_walk_as_it_stands(folder: Path) -> None:
    walk(folder)
    check_pages(folder)
    for row in rows(folder / "runs/table1/table1"):
        print({name: row[name] for name in SHOWN})
        if row["system"] in ("with-reasons", "without-reasons"):
            assert row["against"] == "zero-shot"
            assert row["difference_low"] > 0
            assert row["starred"]
    [shown] = [
        line for block in blocks(PAGE) for line in block.text.splitlines() if "SELECT" in line
    ]
    sql = shlex.split(shown)[2]
    assert query(Location.parse("runs/table1"), sql).num_rows == 9
    for name in ("reasons/table1", "walk-judge/win_rates.parquet", "study-rates/rates.parquet"):
        for row in rows(folder / "runs" / name):
            print({key: value for key, value in row.items() if key != "run"})
