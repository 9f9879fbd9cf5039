"""A folder for an s3prl upstream that cannot be loaded is refused in a line, without s3prl."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from raypipe.errors import ConfigError
from raypipe.ssl import EncoderSource, load


def folder(place: Path, **settings: object) -> str:
    (place / "config.json").write_text(json.dumps({"model_type": "s3prl", **settings}))
    (place / "apc.ckpt").write_bytes(b"")
    return str(place)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "names upstream None; known: apc, vq_apc, npc, mockingjay, tera, decoar2, cpc, wav2v"),
        ({"upstream": "hubert", "checkpoint": "apc.ckpt"}, "names upstream 'hubert'; known: apc"),
        ({"upstream": ["apc"]}, r"names upstream \['apc'\]"),
        ({"upstream": "apc"}, "checkpoint None, which is no file in the folder"),
        ({"upstream": "apc", "checkpoint": "cpc.pt"}, "checkpoint 'cpc.pt', which is no file"),
        ({"upstream": "apc", "checkpoint": "../apc.ckpt"}, "no file in the folder"),
    ],
)
def test_what_the_folder_names_must_be_there(
    settings: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        load(EncoderSource(folder(tmp_path, **settings)))


@pytest.mark.parametrize(
    ("package", "module"), [("torchaudio", "torchaudio"), ("s3prl", "s3prl.upstream.apc.expert")]
)
def test_a_missing_extra_is_named(
    package: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(tmp_path, upstream="apc", checkpoint="apc.ckpt")
    monkeypatch.setitem(sys.modules, "torchaudio", sys)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"need {package}, which .*pip install '\.\[s3prl\]'"):
        load(EncoderSource(path))


def test_a_torchaudio_of_another_build_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(tmp_path, upstream="apc", checkpoint="apc.ckpt")

    def import_module(name: str) -> None:
        raise OSError("Could not load this library: _torchaudio.abi3.so\nmore")

    monkeypatch.setattr(importlib, "import_module", import_module)
    message = r"torchaudio does not fit this torch \(Could not load this library: _torch\S*\); see"
    with pytest.raises(ConfigError, match=message):
        load(EncoderSource(path))
