"""A folder for an s3prl upstream that cannot be loaded is refused in a line, without s3prl."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from raypipe.errors import ConfigError
from raypipe.ssl import EncoderSource, family_of, load


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


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of packages that seem to be installed."""
    installed = {"torchaudio", "s3prl"}
    real = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> object:
        if name in ("torchaudio", "s3prl"):
            return real("json") if name in installed else None
        return real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    return installed


@pytest.mark.parametrize("package", ["torchaudio", "s3prl"])
def test_a_missing_extra_is_named(package: str, tmp_path: Path, packages: set[str]) -> None:
    path = folder(tmp_path, upstream="apc", checkpoint="apc.ckpt")
    packages.remove(package)
    with pytest.raises(ConfigError, match=rf"need {package}, which .*pip install '\.\[s3prl\]'"):
        load(EncoderSource(path))


def test_arithmetic_is_float32(tmp_path: Path) -> None:
    path = folder(tmp_path, upstream="apc", checkpoint="apc.ckpt")
    with pytest.raises(ConfigError, match="dtype float32 only"):
        load(EncoderSource(path, dtype="float16"))


def test_a_torchaudio_of_another_build_is_named(
    tmp_path: Path, packages: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(tmp_path, upstream="apc", checkpoint="apc.ckpt")

    def import_module(name: str) -> None:
        raise OSError("Could not load this library: _torchaudio.abi3.so\nmore")

    load_apc = family_of(path).load  # the families' files are imported before
    monkeypatch.setattr(importlib, "import_module", import_module)
    message = r"torchaudio does not fit this torch \(Could not load this library: _torch\S*\); see"
    with pytest.raises(ConfigError, match=message):
        load_apc(EncoderSource(path))
