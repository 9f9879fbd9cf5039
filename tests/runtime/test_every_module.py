"""Every module of runtime/ has a file of unit tests beside it in this tree, or a reason not to."""

from __future__ import annotations

from pathlib import Path

import pytest

import raypipe.runtime

SOURCES = Path(raypipe.runtime.__file__).parent
TESTS = Path(__file__).parent

WHOLE_RUNS = {
    "heads/job.py": (
        "test_heads.py",
        "the order of plan, trainings, counts and reduce, which have their tests",
    ),
    "infer/stages.py": (
        "test_pipeline.py",
        "a coat of Ray Data around functions of shard_work, which have their tests",
    ),
    "features/stages.py": (
        "test_features.py",
        "a coat of Ray Data around functions of work, which have their tests",
    ),
    "features/job.py": (
        "test_features.py",
        "the order of plan, stream and counts, which have their tests",
    ),
    "relabel/job.py": (
        "test_relabel.py",
        "the order of plan, actors, counts and files, which have their tests",
    ),
    "rationale/job.py": (
        "test_rationale.py",
        "the order of plan, actors, counts and files, which have their tests",
    ),
    "judge/job.py": (
        "test_judge.py",
        "the order of plan, actors, counts and files, which have their tests",
    ),
    "finetune/job.py": (
        "test_finetune.py",
        "the order of plan, Ray Train and files, which have their tests",
    ),
    "finetune/worker.py": (
        "test_finetune.py",
        "a coat of Ray Train around the loop of raypipe.finetune, which has its tests",
    ),
    "infer/pipeline.py": (
        "test_pipeline.py",
        "the order of plan, stream, counts and reduce, which have their tests",
    ),
}
"""Modules that only a whole run on Ray can test, with the file that does and the reason."""


def modules() -> list[str]:
    paths = sorted(SOURCES.rglob("*.py"))
    names = [path.relative_to(SOURCES).as_posix() for path in paths]
    return [name for name in names if not name.endswith("__init__.py")]


def expected(module: str) -> Path:
    place = Path(module)
    return TESTS / place.parent / f"test_{place.name}"


@pytest.mark.parametrize("module", modules())
def test_every_module_has_a_file_of_unit_tests_of_its_name(module: str) -> None:
    if module in WHOLE_RUNS:
        file, reason = WHOLE_RUNS[module]
        assert (TESTS / file).is_file()
        assert reason
        assert not expected(module).exists(), "it needs no exception any more"
    else:
        file_of_tests = expected(module)
        assert file_of_tests.is_file(), f"write {file_of_tests.relative_to(TESTS.parent)}"
        dotted = f"raypipe.runtime.{module.removesuffix('.py').replace('/', '.')}"
        package, name = dotted.rsplit(".", 1)
        text = file_of_tests.read_text()
        assert dotted in text or f"from {package} import {name}" in text


def test_exceptions_are_modules_that_exist() -> None:
    assert {*WHOLE_RUNS} <= {*modules()}
