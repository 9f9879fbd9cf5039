"""A checkpoint in object storage: fetched once per machine, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from raypipe.config import BUNDLED_MODEL, ModelConfig, parse_config
from raypipe.config.model import local_path
from raypipe.engines.memory import weight_bytes
from raypipe.errors import ConfigError, StoreError, UnsupportedError
from raypipe.runtime.infer.fetching import fetched, is_stored
from raypipe.runtime.infer.models import bring_weights, engine_of, make_frontend, model_fingerprint
from raypipe.store.location import Location

SMALL = {"config.json": b"{}", "tokenizer.json": b"[1]", "speech-lora/adapter_config.json": b"{}"}
LARGE = {"model.safetensors": b"w" * 5000, "speech-lora/adapter_model.safetensors": b"a" * 300}
TEXTS = {"README.md": b"read me", ".gitattributes": b"x"}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYPIPE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def stored(bucket: Location) -> Location:
    place = bucket.child("models", "mine")
    for name, data in {**SMALL, **LARGE, **TEXTS}.items():
        place.write(name, data)
    return place


def held(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in files
        if not path.name.startswith(".")
    }


def test_small_files_come_first_and_weights_for_the_engine(
    stored: Location, capfd: pytest.CaptureFixture[str]
) -> None:
    small = fetched(stored.uri, None, weights=False)
    assert held(small.folder) == SMALL
    assert weight_bytes(str(small.folder), None) == len(LARGE["model.safetensors"])
    capfd.readouterr()
    whole = fetched(stored.uri, None, weights=True)
    assert whole == small
    assert held(whole.folder) == SMALL | LARGE
    told = capfd.readouterr().err.splitlines()
    assert len(told) == len(LARGE)
    assert f"{stored.uri}/model.safetensors: 0.01 MB, file 1 of 2" in told[0]
    fetched(stored.uri, None, weights=True)
    assert capfd.readouterr().err == ""


def test_a_changed_object_is_another_folder_and_another_model(stored: Location) -> None:
    first = fetched(stored.uri, None, weights=True)
    stored.write("model.safetensors", b"v" * 5000)
    second = fetched(stored.uri, None, weights=True)
    assert first.folder != second.folder
    assert first.digest != second.digest
    assert held(second.folder)["model.safetensors"] == b"v" * 5000


def test_an_interrupted_fetch_goes_on_with_what_is_missing(
    stored: Location, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    download = Location.download

    def interrupted(place: Location, name: str, sink) -> None:  # type: ignore[no-untyped-def]
        if name.startswith("speech-lora/adapter_model"):
            sink.write(b"half")
            raise KeyboardInterrupt
        download(place, name, sink)

    monkeypatch.setattr(Location, "download", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetched(stored.uri, None, weights=True)
    monkeypatch.setattr(Location, "download", download)
    capfd.readouterr()
    whole = fetched(stored.uri, None, weights=True)
    assert held(whole.folder) == SMALL | LARGE
    told = capfd.readouterr().err.splitlines()
    assert [line.split(": ")[0].rsplit("/")[-1] for line in told] == [
        "adapter_model.safetensors",
        "tokenizer.json",
    ]


def test_a_file_of_another_size_is_fetched_anew(stored: Location) -> None:
    folder = fetched(stored.uri, None, weights=True).folder
    (folder / "model.safetensors").write_bytes(b"cut")
    assert held(fetched(stored.uri, None, weights=True).folder) == SMALL | LARGE


def test_objects_that_change_meanwhile_are_told(
    stored: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    download = Location.download

    def rewriting(place: Location, name: str, sink) -> None:  # type: ignore[no-untyped-def]
        download(place, name, sink)
        stored.write("config.json", b'{"a": 1}')

    monkeypatch.setattr(Location, "download", rewriting)
    with pytest.raises(StoreError, match="changed while it was fetched"):
        fetched(stored.uri, None, weights=True)


FETCH = """
import sys
from raypipe.runtime.infer.fetching import fetched
fetched(sys.argv[1], None, weights=True)
"""


def test_processes_of_a_machine_fetch_once(stored: Location) -> None:
    command = [sys.executable, "-c", FETCH, stored.uri]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = "".join(process.communicate(timeout=120)[1] for process in processes)
    assert [process.returncode for process in processes] == [0, 0], told
    names = [
        line.split(": ")[0].rsplit("mine/")[1] for line in told.splitlines() if "mine/" in line
    ]
    assert sorted(names) == sorted(SMALL | LARGE)


def test_a_full_disk_is_told(stored: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"cannot write .*config\.json\.part: No space left"):
        fetched(stored.uri, None, weights=False)


def test_a_prefix_without_a_checkpoint_is_refused(bucket: Location) -> None:
    with pytest.raises(StoreError, match=r"holds no checkpoint: no config\.json"):
        fetched(bucket.child("nothing").uri, None, weights=False)


def test_credentials_in_a_uri_are_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError) as refused:
        fetched("s3://key:secret@bucket/mine", None, weights=False)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "expected"), [("s3://bucket/mine", True), ("Qwen/Qwen2-Audio-7B", False)]
)
def test_only_object_storage_is_fetched(path: str, expected: bool) -> None:
    assert is_stored(path) is expected


def test_a_stored_model_is_that_of_its_files(bucket: Location) -> None:
    place, bundled = bucket.child("tiny"), Path(local_path(BUNDLED_MODEL))
    for file in bundled.iterdir():
        if file.is_file():
            place.write(file.name, file.read_bytes())
    model = ModelConfig(path=place.uri)
    assert make_frontend(model).max_duration_s == make_frontend(ModelConfig()).max_duration_s
    _, settings = engine_of(model)
    assert not (Path(settings.path) / "model.safetensors").exists()
    told = model_fingerprint(model)
    _, settings = engine_of(model, weights=True)
    assert (Path(settings.path) / "model.safetensors").exists()
    assert model_fingerprint(model) == told != model_fingerprint(ModelConfig())
    config = json.loads((bundled / "config.json").read_text())
    place.write("config.json", json.dumps({**config, "max_audio_duration_s": 2.0}).encode())
    assert model_fingerprint(model) != told
    assert make_frontend(model).max_duration_s == 2.0


def test_weights_that_nobody_reads_are_refused_where_they_are_brought(tmp_path: Path) -> None:
    for name in ("config.json", "pytorch_model.bin"):
        (tmp_path / name).write_bytes(b"{}")
    document = {"input": {"shards": "s"}, "output": "o", "model": {"path": str(tmp_path)}}
    with pytest.raises(UnsupportedError, match=r"pickle weights \(pytorch_model\.bin\)"):
        bring_weights(parse_config(document))


def test_all_models_of_a_run_are_brought(stored: Location) -> None:
    document = {
        "input": {"shards": "s"},
        "output": "o",
        "strategies": ["w_alm_v"],
        "verifier": {"model": {"path": stored.uri}},
    }
    bring_weights(parse_config(document))
    assert held(fetched(stored.uri, None, weights=False).folder) == SMALL | LARGE
