"""The wheel holds what a run needs, and nothing asks an index for a package called raypipe.

On PyPI the name ``raypipe`` belongs to somebody else.
"""

from __future__ import annotations

import ast
import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from raypipe.installation import BUNDLED_CHECKPOINTS, install_hint

ROOT = Path(__file__).parents[1]
TRAINING = "raypipe/tiny_alm/training/"

INSTALLERS = r"\b(?:pip3?|pipx|uv|conda|mamba|poetry|pdm)\b[^\n|;&]*\b(?:install|add|download)\b"
NAMED = r"[^\n|;&]*(?<![\w./-])raypipe(?:-ser)?(?![\w./-]|'s)"
REQUIRED = r"\braypipe(?:-ser)?(?:\[|[=~>]=)|\bpip[\"']?\s*:\s*\[[^\]]*raypipe"
FROM_AN_INDEX = re.compile(rf"{INSTALLERS}{NAMED}|{REQUIRED}", re.IGNORECASE)


def tracked() -> list[str]:
    """Text files of the repository, caches and results aside."""
    tops = [".ci", ".gitignore", "CHANGELOG.md", "README.md", "cluster", "jobs", "pyproject.toml"]
    paths: list[Path] = []
    for top in (*tops, "raypipe", "tests"):
        paths += [ROOT / top] if (ROOT / top).is_file() else (ROOT / top).rglob("*")
    names = [path.relative_to(ROOT).as_posix() for path in paths if path.is_file()]
    return sorted(
        name
        for name in names
        if "__pycache__" not in name and not name.endswith((".safetensors", ".parquet", ".pyc"))
    )


def offences(names: list[str]) -> Iterator[str]:
    for name in names:
        if name == "tests/test_packaging.py":
            continue
        for number, line in enumerate((ROOT / name).read_text("utf-8").splitlines(), 1):
            if FROM_AN_INDEX.search(line):
                yield f"{name}:{number}: {line.strip()}"


def test_nothing_tells_anyone_to_install_raypipe_from_an_index() -> None:
    names = tracked()
    assert len(names) > 200
    assert list(offences(names)) == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("pip install raypipe", True),
        ("RUN pip3 install --no-cache-dir 'raypipe==0.1'", True),
        ("python -m pip install -U raypipe-ser", True),
        ("uv add raypipe", True),
        ("needs vLLM: see raypipe[vllm]", True),
        ('runtime_env = {"pip": ["raypipe"]}', True),
        ('dependencies = ["raypipe>=0.1"]', True),
        ("pip install .", False),
        ("python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/raypipe demo", False),
        ("pip install . && raypipe demo", False),
        ("pip install /opt/raypipe/", False),
        (install_hint("vllm"), False),
    ],
)
def test_the_search_knows_an_index_from_a_path(line: str, wrong: bool) -> None:
    assert bool(FROM_AN_INDEX.search(line)) is wrong


def test_no_dependency_is_raypipe_itself() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *itertools.chain(*extras.values())]:
        assert not requirement.startswith(("raypipe", project["name"])), requirement


def test_the_hint_names_an_extra_that_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named: set[str] = set()
    for name in tracked():
        if name.startswith(("raypipe/", "jobs/")) and name.endswith(".py"):
            for node in ast.walk(ast.parse((ROOT / name).read_text("utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "install_hint":
                    named |= {
                        str(value.value) for value in node.args if isinstance(value, ast.Constant)
                    }
    assert named <= set(project["optional-dependencies"])


def run(*command: str, folder: Path, site: Path | None = None) -> str:
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    if site is not None:
        environment["PYTHONPATH"] = str(site)
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this source, built in a copy: a ``build/`` beside it may hold removed files."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "raypipe", folder / "raypipe", ignore=ignored)
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index")
    run(*pip, "--no-build-isolation", "--wheel-dir", "dist", ".", folder=folder)
    [built] = (folder / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the installed wheel."""
    folder = tmp_path_factory.mktemp("site")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index")
    run(*pip, "--target", str(folder), str(wheel), folder=folder)
    return folder


def test_the_wheel_holds_every_file_of_the_package_but_training_and_readmes(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name for name in names if not name.split("/")[0].endswith("info")}
    cards = {f"raypipe/tiny_alm/{folder}/README.md" for folder in BUNDLED_CHECKPOINTS.values()}
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "raypipe").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "README.md"
    }
    expected = {name for name in package if not name.startswith(TRAINING)} | cards
    assert packed == expected
    assert any(name.endswith(".jinja") for name in packed)
    assert "raypipe/tiny_alm/checkpoint/model.safetensors" in packed


def test_the_package_runs_from_the_wheel(site: Path, tmp_path: Path) -> None:
    code = (
        "import raypipe, raypipe.runtime.infer.demo, raypipe.prompts, raypipe.labels as labels\n"
        "from raypipe.tiny_alm import checkpoint_path\n"
        "assert (checkpoint_path() / 'config.json').is_file()\n"
        "assert raypipe.prompts.render_prompt('distribution', labels.label_set('crema-d-6'))\n"
        "print(raypipe.__file__)"
    )
    shown = run(sys.executable, "-c", code, folder=tmp_path, site=site)
    assert Path(shown.strip()) == site / "raypipe" / "__init__.py"
    script = str(site / "bin" / "raypipe")
    assert "demo" in run(script, "--help", folder=tmp_path, site=site)


def test_nothing_but_training_imports_training() -> None:
    for path in (ROOT / "raypipe").rglob("*.py"):
        if not path.relative_to(ROOT).as_posix().startswith(TRAINING):
            assert "tiny_alm.training" not in path.read_text("utf-8"), path


def test_ci_runs_the_engines_with_the_lowest_transformers_that_is_allowed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (needed,) = (each for each in project["dependencies"] if each.startswith("transformers"))
    lowest = re.fullmatch(r"transformers>=([\d.]+),<[\d.]+", needed)
    assert lowest is not None
    assert f"'transformers=={lowest[1]}.*'" in (ROOT / ".ci" / "run").read_text("utf-8")
