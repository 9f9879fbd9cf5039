"""What a config names is on every pod, and what it writes outlasts them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import raypipe
from raypipe.cli.cluster import _CONFIGS
from raypipe.cluster.files import FileSet
from raypipe.cluster.places import _PLAIN_TEXTS, PodPlaces, _is_path, places
from raypipe.config import parse_config
from raypipe.errors import ConfigError
from raypipe.prompts import NAMES, template_source
from raypipe.runtime.ingest.config import IngestConfig

RUN: dict[str, Any] = {"input": {"shards": "s3://b/shards"}, "output": "s3://b/run"}
FILES = {
    "run.yaml": b"",
    "prompts/mine.jinja": b"{{ labels }}",
    "examples/solved.jsonl": b'{"answer": {"anger": 1}, "audio": "one.wav"}\n',
    "examples/one.wav": b"RIFF",
    "examples/missing.jsonl": b'\n{"answer": {"anger": 1}, "audio": "two.wav"}\nno\n',
    "labels.csv": b"",
    "shards/shards.json": b"{}",
}


def faults(tmp_path: Path, changes: dict[str, Any], weights: str | None = None) -> list[str]:
    pods = PodPlaces(FileSet(FILES), tmp_path, weights, NAMES)
    try:
        pods.check(parse_config(RUN | changes), "run.yaml")
    except ConfigError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"prompt": {"template": "closed_form"}},
        {"prompt": {"template": "prompts/mine.jinja"}},
        {"prompt": {"template": "./prompts/mine.jinja", "cot": "/config/prompts/mine.jinja"}},
        {"prompt": {"template": "describe", "examples": "examples/solved.jsonl"}},
        {"labels": [{"table": "labels.csv"}, {"table": "s3://b/relabelled"}]},
        {"input": {"shards": "shards/"}},
        {"model": {"path": "tiny-alm"}},
        {"model": {"path": "Qwen/Qwen2-Audio-7B-Instruct", "revision": "0" * 40}},
        {"model": {"path": "/models/in-the-image"}},
        {"model": {"path": "s3://b/model", "adapter": "/models/adapter"}},
        {
            "model": {
                "engine": "openai",
                "path": "some/model/at/its/endpoint",
                "api": {"base_url": "https://a.example/v1", "cache": "s3://b/cache"},
            }
        },
    ],
)
def test_what_every_pod_has_is_taken(changes: dict[str, Any], tmp_path: Path) -> None:
    assert faults(tmp_path, changes) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": {"template": "nowhere"}}, "prompt.template: 'nowhere' is no built-in prompt"),
        (
            {"prompt": {"template": "prompts/other.jinja"}},
            "prompt.template: 'prompts/other.jinja' is no built-in prompt and not among the files",
        ),
        ({"prompt": {"template": "prompts"}}, "prompt.template: 'prompts' is no built-in"),
        ({"prompt": {"template": "/etc/mine.jinja"}}, "prompt.template: '/etc/mine.jinja' is no"),
        ({"prompt": {"cot": "../mine.jinja"}}, "prompt.cot: '../mine.jinja' is no built-in"),
        (
            {"prompts": [{"template": "single"}, {"template": "other"}]},
            "prompts.1.template: 'other' is no built-in prompt",
        ),
        ({"verifier": {"template": "other"}}, "verifier.template: 'other' is no built-in prompt"),
        (
            {"prompt": {"template": "describe", "examples": "solved.jsonl"}},
            "prompt.examples: 'solved.jsonl' is not among the files",
        ),
        ({"labels": [{"table": "other.csv"}]}, "labels.0.table: 'other.csv' is on no pod"),
        ({"output": "runs/x"}, "output: 'runs/x' would go with the pods: name an s3:// URI"),
        ({"output": "/tmp/x"}, "output: '/tmp/x' would go with the pods"),
        ({"output": "/models/x"}, "output: '/models/x' would go with the pods"),
        ({"output": "gs://b/x"}, "output: 'gs://b/x' is no s3:// URI"),
        ({"input": {"shards": "other/"}}, "input.shards: 'other/' is on no pod"),
        ({"input": {"shards": "/data/shards"}}, "input.shards: '/data/shards' is on no pod"),
        ({"model": {"path": "./models/mine"}}, "model.path: './models/mine' is on no pod"),
        ({"model": {"path": "here/model"}}, "model.path: 'here/model' is on no pod"),
        ({"model": {"adapter": "owner/name"}}, "model.adapter: 'owner/name' is on no pod"),
        (
            {
                "model": {
                    "engine": "openai",
                    "path": "m",
                    "api": {"base_url": "https://a.example/v1", "cache": "cache"},
                }
            },
            "model.api.cache: 'cache' would go with the pods",
        ),
    ],
)
def test_what_no_pod_has_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "here" / "model").mkdir(parents=True)
    [line] = faults(tmp_path, changes)
    assert line.startswith(f"run.yaml: {message}")


def test_every_wrong_place_has_a_line(tmp_path: Path) -> None:
    lines = faults(tmp_path, {"output": "x", "input": {"shards": "y"}, "labels": [{"table": "z"}]})
    assert [line.split(": ")[1] for line in lines] == ["input.shards", "output", "labels.0.table"]


def test_clips_of_solved_examples_are_among_the_files_too(tmp_path: Path) -> None:
    changes = {"prompt": {"template": "describe", "examples": "examples/missing.jsonl"}}
    clip, line = faults(tmp_path, changes)
    assert clip.endswith("examples/missing.jsonl line 2: audio 'two.wav' is not among the files")
    assert "missing.jsonl line 3: is not JSON" in line


def test_weights_are_those_that_the_config_reads(tmp_path: Path) -> None:
    mounted = {"model": {"path": "/models/mine"}}
    for weights in ("/models/mine", "/models"):
        assert faults(tmp_path, mounted, weights) == []
    verifier = {"verifier": {"model": {"path": "/models/mine/a"}}}
    assert faults(tmp_path, verifier, "/models/mine") == []
    shards = {"input": {"shards": "/models/mine/shards"}, "prompt": {"template": "/models/mine/a"}}
    assert faults(tmp_path, shards, "/models/mine") == []
    for weights in ("/models/min", "/models/mine/deeper", "/models/other"):
        [line] = faults(tmp_path, mounted, weights)
        assert (
            line == f"run.yaml: weights.path: nothing reads from {weights}; models are /models/mine"
        )


def test_the_built_in_prompts_are_those_of_the_package() -> None:
    files = resources.files("raypipe.prompts").iterdir()
    assert {f"{name}.jinja" for name in NAMES} == {
        file.name for file in files if file.name.endswith(".jinja")
    }
    for name in NAMES:
        assert template_source(name)


def test_an_ingest_reads_and_writes_object_storage(tmp_path: Path) -> None:
    config = IngestConfig(corpus="crema-d", source="CREMA-D", output="shards", allow=("/a",))
    assert [place.key for place in places(config)] == ["source", "output", "allow.0"]
    with pytest.raises(ConfigError) as refused:
        PodPlaces(FileSet({}), tmp_path, None, NAMES).check(config, "corpus.yaml")
    assert len(str(refused.value).splitlines()) == 3


# --- no place is forgotten ------------------------------------------------------------------------


def sections() -> Iterator[type[BaseModel]]:
    """Every section that a job's config may have, from the modules that load them."""
    seen: set[type[BaseModel]] = set()
    for found in pkgutil.walk_packages(raypipe.__path__, "raypipe."):
        if re.fullmatch(r"raypipe\.(config|runtime)\..*", found.name):
            module = importlib.import_module(found.name)
            for value in vars(module).values():
                if isinstance(value, type) and issubclass(value, BaseModel):
                    seen.add(value)
    yield from seen


def test_every_text_that_is_described_as_a_place_is_taken_for_one() -> None:
    """By the descriptions, as a reader knows them; a new field of another type would be missed."""
    checked = 0
    for section in sections():
        if not re.search(r"config", section.__module__):
            continue
        described = dict(
            re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", section.__doc__ or "", re.MULTILINE)
        )
        for name, field in section.model_fields.items():
            is_text = re.search(r"\bstr\b", str(field.annotation)) and "dict" not in str(
                field.annotation
            )
            if is_text and re.search(r"path of|folder|directory|s3://", described.get(name, "")):
                checked += 1
                assert name in _PLAIN_TEXTS or _is_path(field), f"{section.__name__}.{name}"
    assert checked > 20, checked


def test_every_job_s_config_has_its_places() -> None:
    for name, loader in _CONFIGS.items():
        module = importlib.import_module(loader.partition(":")[0])
        config = inspect.signature(getattr(module, loader.partition(":")[2])).return_annotation
        fields = getattr(module, config).model_fields
        assert any(_is_path(field) for field in fields.values()), name
