"""No package that is used has a version with a vulnerability that `.ci/advisories.toml` knows."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
ADVISORIES = tomllib.loads((ROOT / ".ci/advisories.toml").read_text(encoding="utf-8"))


def faults(versions: dict[str, str]) -> list[str]:
    """What the advisories say against versions of packages."""
    return [
        f"{name} {versions[name]}: {known['id']}, {known['what']}; wants {known['below']}"
        for name, known in ADVISORIES.items()
        if name in versions and Version(versions[name]) < Version(known["below"])
    ]


def asked_for() -> dict[str, str]:
    """Lowest versions that pyproject.toml lets in, by package; 0 where it names none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    texts = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    for extra in project["project"]["optional-dependencies"].values():
        texts += extra
    lowest = {}
    for text in texts:
        requirement = Requirement(text)
        floors = [
            each.version.removesuffix(".*")
            for each in requirement.specifier
            if each.operator in ("==", ">=", "~=")
        ]
        lowest[canonicalize_name(requirement.name)] = max(floors, key=Version, default="0")
    return lowest


def locked() -> dict[str, str]:
    """Versions in the image."""
    text = (ROOT / "cluster/constraints.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))


def test_the_environment_has_none() -> None:
    here = {canonicalize_name(each.name): each.version for each in distributions()}
    assert len(set(ADVISORIES) & set(here)) >= 15
    assert faults(here) == []


def test_what_can_be_installed_and_what_the_image_holds_have_none() -> None:
    assert faults(asked_for()) == []
    assert len(set(ADVISORIES) & set(locked())) >= 10
    assert faults(locked()) == []


@pytest.mark.parametrize(
    ("version", "is_bad"), [("2.54.9", True), ("2.55.0", False), ("2.55rc1", True)]
)
def test_a_version_below_is_named(version: str, is_bad: bool) -> None:
    assert bool(faults({"ray": version})) is is_bad


def test_every_advisory_says_what_it_is() -> None:
    for name, known in ADVISORIES.items():
        assert canonicalize_name(name) == name
        assert set(known) == {"below", "id", "what"}
        assert re.fullmatch(r"CVE-\d{4}-\d+|GHSA(-[0-9a-z]{4}){3}", known["id"])
        assert Version(known["below"])
