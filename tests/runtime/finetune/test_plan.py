"""What a finetune job refuses before Ray starts."""

import json
from pathlib import Path
from typing import Any

import pytest
from spoken_export import finetune_settings, line, write_export

from raypipe.config import checked
from raypipe.errors import ConfigError
from raypipe.finetune.examples import read_examples
from raypipe.runtime.finetune.config import FinetuneConfig
from raypipe.runtime.finetune.plan import plan_finetune


def refused(document: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as error:
        plan_finetune(checked(FinetuneConfig, document, "config"))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_exports_that_cannot_be_are_refused_in_one_line(tmp_path: Path) -> None:
    def message(folder: Path) -> str:
        return refused(finetune_settings(folder, tmp_path / "out"))

    assert "raypipe export writes such a folder" in message(tmp_path)
    folder = write_export(tmp_path / "export", 2)
    assert list(read_examples(folder).development) == []
    manifest = json.loads((folder / "manifest.json").read_text())

    def says(**changes: object) -> str:
        (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))
        return message(folder)

    assert "is not of format 1" in says(format=2)
    assert "purpose test_ii" in says(purpose="test_ii")
    assert "purpose test_ii" in says(made_from=[{"rationales": "x", "purpose": "test_ii"}])
    (folder / "manifest.json").write_text(json.dumps(manifest))
    good = line("a", "audio/none.flac", 0, "train")
    lines = folder / "train.jsonl"

    def written(document: object) -> str:
        lines.write_text(json.dumps(document) + "\n")
        return message(folder)

    assert "there is no clip" in written(good)
    assert "purpose test_ii" in written({**good, "purpose": "test_ii"})
    assert "not of user and assistant" in written({**good, "messages": good["messages"][:1]})
    lines.write_text("{\n")
    assert "train.jsonl, line 1: is not JSON" in message(folder)
    lines.write_text("")
    assert "has no examples in train.jsonl" in message(folder)


def test_models_that_cannot_be_are_refused_in_one_line(tmp_path: Path) -> None:
    document = finetune_settings(tmp_path / "export", tmp_path / "out")
    assert "model nowhere: no such folder" in refused({**document, "model": {"path": "nowhere"}})


def test_a_plan_knows_its_job_and_whether_it_is_done(tmp_path: Path) -> None:
    export = write_export(tmp_path / "export", 2)
    config = checked(FinetuneConfig, finetune_settings(export, tmp_path / "out"), "config")
    plan = plan_finetune(config)
    assert plan.finished is None
    assert plan_finetune(config).fingerprint == plan.fingerprint
    (export / "train.jsonl").write_text((export / "train.jsonl").read_text() + "\n")
    assert plan_finetune(config).fingerprint != plan.fingerprint
