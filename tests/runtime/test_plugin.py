"""The engine in a package of its own that raypipe/engines/README.md shows: installed and run."""

from __future__ import annotations

import importlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console

from raypipe.audio import decode
from raypipe.config import ModelConfig, parse_config
from raypipe.engines.plugins import find_plugin
from raypipe.errors import ConfigError
from raypipe.runtime.infer.models import model_fingerprint
from raypipe.runtime.infer.plan import make_plan
from raypipe.runtime.infer.selfcheck import selfcheck
from raypipe.runtime.reaggregate.job import reaggregate
from raypipe.runtime.reaggregate.plan import Changes
from raypipe.store.location import Location
from raypipe.store.run_record import read_record
from raypipe.tiny_alm.corpus import synthetic_utterances

ROOT = Path(__file__).parents[2]
UTTERANCES = 8


def readme_block(kind: str, containing: str) -> str:
    page = (ROOT / "raypipe/engines/README.md").read_text()
    fenced = re.findall(r"^```(\w+)\n(.*?)^```$", page, re.M | re.S)
    (found,) = [text for language, text in fenced if language == kind and containing in text]
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the README's package, as pip installs it."""
    source, target = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("site")
    (source / "pyproject.toml").write_text(readme_block("toml", "raypipe.engines"))
    (source / "raypipe_loudness.py").write_text(readme_block("python", "text_plugin("))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def here(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process has the package, too."""
    monkeypatch.syspath_prepend(str(installed))
    importlib.invalidate_caches()
    yield
    sys.modules.pop("raypipe_loudness", None)


@pytest.fixture(scope="module")
def shards(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = synthetic_utterances(UTTERANCES, seed=5, split="test")
    return runs.shards(rows, tmp_path_factory.mktemp("shards"), UTTERANCES // 2)


def with_model_file(folder: Path) -> dict[str, Any]:
    """The README's settings, with a model file that is there."""
    settings = yaml.safe_load(readme_block("yaml", "loudness"))
    path = folder / settings["model"]["path"]
    path.write_text('{"middle_db": -25}')
    return {**settings, "model": {**settings["model"], "path": str(path)}}


@pytest.fixture
def model(tmp_path: Path) -> dict[str, Any]:
    return with_model_file(tmp_path)


def raypipe(installed: Path, *arguments: str) -> str:
    """What the command line says in an environment that has the package."""
    environment = {name: text for name, text in os.environ.items() if name != "RAY_ADDRESS"}
    environment["PYTHONPATH"] = f"{installed}{os.pathsep}{ROOT}"
    done = subprocess.run(
        [sys.executable, "-m", "raypipe", *arguments],
        env=environment | {"COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def finished(
    installed: Path, runs: Any, shards: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tables of a run by the command line."""
    folder = tmp_path_factory.mktemp("run")
    document = runs.document(shards, folder / "out", **with_model_file(folder))
    (folder / "run.yaml").write_text(yaml.safe_dump(document))
    raypipe(installed, "run", str(folder / "run.yaml"))
    return folder / "out"


def test_an_installed_package_s_engine_answers_a_whole_run(runs: Any, finished: Path) -> None:
    record = read_record(Location.parse(str(finished)))
    assert record.done_counts.predicted == UTTERANCES
    assert record.versions["raypipe-loudness"] == "1.0"
    found = runs.rows(finished, "SELECT utterance_id, probs, predicted FROM predictions")
    clips = {
        one.utterance_id: decode(one.audio, sampling_rate=16_000)
        for one in synthetic_utterances(UTTERANCES, seed=5, split="test")
    }
    assert {row["utterance_id"] for row in found} == set(clips)
    for row in found:
        level_db = 20 * np.log10(np.linalg.norm(clips[row["utterance_id"]]) + 1e-9)
        level_db -= 10 * np.log10(len(clips[row["utterance_id"]]))
        loud = 0.5 + 0.5 * np.tanh((level_db + 25) / 12)
        anger, neutral = loud, 1 - loud
        assert row["probs"] == pytest.approx([anger, 0, 0, 0, neutral, 0], abs=1e-4)
    assert len({row["probs"][0] for row in found}) == UTTERANCES


def test_its_answers_are_aggregated_again_where_it_is_not_installed(
    ray_cluster: None, runs: Any, finished: Path, tmp_path: Path
) -> None:
    assert find_plugin("loudness") is None
    again, quiet = tmp_path / "again", Console(file=io.StringIO())
    reaggregate(str(finished), Changes.of(tau=(2.0,)), output=str(again), console=quiet)
    probs = "SELECT utterance_id, probs FROM predictions ORDER BY 1"
    assert runs.rows(again, probs) == runs.rows(finished, probs)


def test_the_self_check_listens_to_it(
    here: None, runs: Any, shards: Path, model: dict[str, Any], tmp_path: Path
) -> None:
    checked = selfcheck(runs.config(shards, tmp_path / "out", **model))
    assert checked.passed
    assert checked.agreement.utterances == UTTERANCES


def test_models_lists_it_with_its_package(installed: Path) -> None:
    shown = raypipe(installed, "models")
    for words in ("loudness", "raypipe-loudness 1.0", "nothing but loudness"):
        assert words in shown


def test_an_unknown_engine_is_refused_with_those_that_are_installed(
    here: None, runs: Any, shards: Path, model: dict[str, Any], tmp_path: Path
) -> None:
    config = runs.config(
        shards, tmp_path / "out", **{**model, "model": {"engine": "louder", "path": "x"}}
    )
    with pytest.raises(ConfigError, match=r"unknown engine 'louder'.*transformers.*loudness"):
        make_plan(config)
    assert not (tmp_path / "out").exists()


def test_it_checks_its_options_before_any_work(
    here: None, runs: Any, shards: Path, model: dict[str, Any], tmp_path: Path
) -> None:
    for options, words in (
        ({"louder": "anger"}, r"model\.options: louder: unknown key"),
        ({"louder_is": 3}, r"model\.options: louder_is: .*got 3"),
    ):
        section = {**model["model"], "options": options}
        config = runs.config(shards, tmp_path / "out", **{**model, "model": section})
        with pytest.raises(ConfigError, match=words):
            make_plan(config)


def test_strategies_it_cannot_serve_are_refused_before_any_work(
    here: None, runs: Any, shards: Path, model: dict[str, Any], tmp_path: Path
) -> None:
    for strategy, words in (
        ("token", "token need raw logits"),
        ("bon", "bon need log-probabilities"),
        ("w_bon", "w_bon need several hypotheses"),
        ("adaptive", "w_bon need several hypotheses"),  # where greedy is not sure enough
    ):
        config = runs.config(
            shards, tmp_path / "out", **{**model, "strategies": ["greedy", strategy]}
        )
        with pytest.raises(ConfigError, match=rf"strategies {words}.*loudness"):
            make_plan(config)


def test_so_is_a_grammar(
    here: None, runs: Any, shards: Path, model: dict[str, Any], tmp_path: Path
) -> None:
    held = {**model, "decoding": {"grammar": "distribution"}}
    with pytest.raises(ConfigError, match=r"decoding\.grammar: engine loudness knows no grammars"):
        make_plan(runs.config(shards, tmp_path / "out", **held))
    assert not (tmp_path / "out").exists()


def test_another_file_or_option_is_another_model_another_place_is_not(
    here: None, model: dict[str, Any], tmp_path: Path
) -> None:
    def fingerprint(**changes: Any) -> str:
        section = {**model["model"], **changes}
        document = {"input": {"shards": "x"}, "output": "y", "model": section}
        return model_fingerprint(parse_config(document).model)

    first = fingerprint()
    assert first == fingerprint(options={})  # the default, said or not
    assert first != fingerprint(options={"louder_is": "fear"})
    moved = tmp_path / "elsewhere" / Path(model["model"]["path"]).name
    moved.parent.mkdir()
    moved.write_text('{"middle_db": -25}')
    assert first == fingerprint(path=str(moved))
    moved.write_text('{"middle_db": -26}')
    assert first != fingerprint(path=str(moved))


def test_files_below_a_model_s_folder_count_but_not_what_tools_leave_there(tmp_path: Path) -> None:
    def fingerprint() -> str:
        section = {"path": str(tmp_path / "model")}
        return model_fingerprint(ModelConfig.model_validate(section))

    for name in ("config.json", "encoder/weights.bin"):
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    first = fingerprint()
    for name in (".cache/lock", "encoder/__pycache__/x.pyc", "encoder/README.md"):
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("2")
    assert fingerprint() == first
    (tmp_path / "model/encoder/weights.bin").write_text("2")
    assert fingerprint() != first


def test_a_plug_in_needs_a_path_and_built_in_engines_take_no_options() -> None:
    document: dict[str, Any] = {"input": {"shards": "x"}, "output": "y"}
    with pytest.raises(ConfigError, match=r"engine loudness needs path"):
        parse_config({**document, "model": {"engine": "loudness"}})
    with pytest.raises(ConfigError, match=r"options belong to plug-ins; engine vllm is none"):
        parse_config({**document, "model": {"engine": "vllm", "options": {"a": 1}}})
