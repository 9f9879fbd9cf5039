"""Where the files of a checkpoint are, and what is said of a path that leads nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raypipe.engines.checkpoint_files import checkpoint_files, weight_bytes, weight_files
from raypipe.errors import ConfigError


def refusal(path: Path | str) -> str:
    with pytest.raises(ConfigError) as refused:
        checkpoint_files(str(path), None)
    return str(refused.value)


def test_a_path_that_leads_nowhere_is_told_what_is_nearest(tmp_path: Path) -> None:
    (tmp_path / "Qwen2-Audio").mkdir()
    near = f"no such folder; did you mean {tmp_path / 'Qwen2-Audio'}?"
    assert refusal(tmp_path / "Qwen2-audio") == near
    assert refusal(tmp_path / "whisper") == "no such folder"
    assert refusal(tmp_path / "a" / "b" / "c") == f"no such folder: {tmp_path} has no a"
    assert refusal("~/model") == f"no such folder; write {Path.home() / 'model'}"
    assert refusal("ftp://host/model") == "is no folder and no hub id"


def test_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    expected = f"is a file; model.path takes the folder of a checkpoint: {tmp_path}"
    assert refusal(tmp_path / "model.safetensors") == expected


def test_weights_are_counted_once(tmp_path: Path) -> None:
    """A checkpoint of Mistral's has them a second time, in its authors' own layout."""
    for name in ("model-1.safetensors", "model-2.safetensors", "consolidated.safetensors"):
        (tmp_path / name).write_bytes(bytes(10))
    files = checkpoint_files(str(tmp_path), None)
    assert len(weight_files(files)) == 3
    weight_map = {
        "a": "model-1.safetensors",
        "b": "model-2.safetensors",
        "c": "model-1.safetensors",
    }
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    assert weight_bytes(str(tmp_path), None) == 20
