"""Checkpoints in object storage, fetched once for all processes of a machine.

A checkpoint's folder in the cache is named after what the storage lists, sizes and ETags: changed
objects are another folder. A file gets its name when it is whole and on the disk, so that an
interrupted fetch goes on with the files that are missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from raypipe.engines.checkpoint_files import SIZES
from raypipe.engines.once_per_node import cache_folder, node_lock, short_name
from raypipe.errors import StoreError
from raypipe.store.location import Location
from raypipe.store.object_version import ObjectVersion

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".onnx", ".h5", ".msgpack")
"""Endings of what is fetched for the engine only."""

_UNUSED = (".md", ".gguf", ".onnx", ".h5", ".msgpack", ".gitattributes")
"""Endings of what no engine reads."""


@dataclass(frozen=True, slots=True)
class FetchedCheckpoint:
    """A checkpoint of object storage on this machine.

    Attributes:
        folder: with its files.
        digest: text that changes with any of its objects, weights included.
    """

    folder: Path
    digest: str


def is_stored(path: str) -> bool:
    """Whether a model's path is a place in object storage."""
    return path.startswith("s3://")


def fetched(uri: str, endpoint: str | None, *, weights: bool) -> FetchedCheckpoint:
    """A checkpoint of object storage as a folder; what is here already is not fetched again.

    Args:
        uri: ``s3://bucket/prefix``.
        endpoint: URL of the storage; None for the environment's.
        weights: fetch these too; small files are all that a frontend needs.

    Raises:
        ConfigError: if the URI is none, or holds credentials.
        StoreError: if there is no checkpoint, the storage refuses, or objects change meanwhile.
    """
    return _fetched(uri, endpoint, "config.json", weights=weights)


def fetched_adapter(uri: str, endpoint: str | None) -> Path:
    """An adapter of object storage as a folder, whole; arguments and errors as :func:`fetched`."""
    return _fetched(uri, endpoint, "adapter_config.json", weights=True).folder


def _fetched(uri: str, endpoint: str | None, main: str, *, weights: bool) -> FetchedCheckpoint:
    """What :func:`fetched` does with a checkpoint, told by its file ``main``."""
    place = Location.parse(uri, endpoint)
    objects = _objects(place)
    if main not in objects:
        raise StoreError(f"{place.uri} holds no checkpoint: no {main}")
    digest = hashlib.sha256(json.dumps(sorted(objects.items())).encode()).hexdigest()
    name = short_name(f"{place.uri}@{place.endpoint}")
    folder = cache_folder() / "models" / f"{name}-{digest[:16]}"
    wanted = {one: told for one, told in objects.items() if weights or not _is_weights(one)}
    with node_lock(str(folder)):
        missing = {
            one: told for one, told in wanted.items() if not _is_whole(folder / one, told.size)
        }
        if missing:
            _fetch(place, missing, folder)
            sizes = {one: told.size for one, told in objects.items()}
            (folder / SIZES).write_text(json.dumps(sizes), encoding="utf-8")
            if _objects(place) != objects:
                shutil.rmtree(folder)
                raise StoreError(f"{place.uri} changed while it was fetched; start again")
    return FetchedCheckpoint(folder, digest)


def _objects(place: Location) -> dict[str, ObjectVersion]:
    return {
        name: told for name, told in place.versions().items() if not name.lower().endswith(_UNUSED)
    }


def _is_weights(name: str) -> bool:
    return name.lower().endswith(_WEIGHTS)


def _fetch(place: Location, missing: Mapping[str, ObjectVersion], folder: Path) -> None:
    """Fetch files, and tell which and how much is left."""
    left = sum(told.size for told in missing.values())
    for number, (name, told) in enumerate(missing.items(), 1):
        _tell(
            f"{place.uri}/{name}: {_in_words(told.size)}, file {number} of {len(missing)}, "
            f"{_in_words(left)} to go"
        )
        _fetch_file(place, name, folder / name, told.size)
        left -= told.size


def _fetch_file(place: Location, name: str, target: Path, size: int) -> None:
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb+") as sink:
            place.download(name, sink)
            sink.flush()
            os.fsync(sink.fileno())
    except OSError as error:
        raise StoreError(f"cannot write {part}: {error.strerror or error}") from error
    found = part.stat().st_size
    if found != size:
        part.unlink()
        raise StoreError(f"{place.uri}/{name} has {found} bytes, listed with {size}")
    part.replace(target)


def _is_whole(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size


def _in_words(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 10_000_000 else f"{size / 1e6:.2f} MB"


def _tell(line: str) -> None:
    """Write where the user of a cluster sees it, and the log of a local worker keeps it."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
