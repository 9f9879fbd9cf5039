"""Where a checkpoint's files are, in a folder or on the hub, without loading one."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from raypipe.engines.hub import HubFiles, cached_instead, is_hub_id
from raypipe.errors import ConfigError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
"""Weights in one file, or what names the files of several; the first wins if both are there."""

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".bin.index.json")

SIZES = ".raypipe-sizes.json"
"""Sizes of all files of a folder by their names, where some of them were not fetched yet."""


class CheckpointFiles(Protocol):
    """Files of a checkpoint.

    Attributes:
        where: what they stand in, in words.
        names: of the files; of a folder, those directly in it, and of its folders.
    """

    where: str
    names: frozenset[str]

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none, or nobody says."""
        ...

    def file(self, name: str) -> Path:
        """A file on this machine, fetched if need be; for small ones."""
        ...

    def on_this_machine(self, name: str) -> Path | None:
        """A file that need not be fetched; None for any other."""
        ...


class FolderFiles:
    """Files of a checkpoint in a folder.

    Args:
        folder: of this machine.
        where: what it is called in messages.
    """

    def __init__(self, folder: Path, where: str = "the folder") -> None:
        self._folder, self.where = folder, where
        told = folder / SIZES
        self._sizes: Mapping[str, int] = json.loads(told.read_bytes()) if told.is_file() else {}
        self.names = frozenset([*(entry.name for entry in folder.iterdir()), *self._sizes])

    def size(self, name: str) -> int | None:
        """Bytes of a file, fetched or not; None where there is none."""
        file = self.on_this_machine(name)
        return self._sizes.get(name) if file is None else file.stat().st_size

    def file(self, name: str) -> Path:
        """A file of the folder."""
        return self._folder / name

    def on_this_machine(self, name: str) -> Path | None:
        """A file of the folder; None where there is none."""
        file = self._folder / name
        return file if file.is_file() else None


def checkpoint_files(path: str, revision: str | None) -> CheckpointFiles:
    """The files of a checkpoint.

    Args:
        path: folder or hub id.
        revision: commit of a hub id.

    Raises:
        ConfigError: if there is no such folder and no such hub id, or the hub does not give it,
            saying why and what to do.
    """
    place = Path(path)
    if place.is_dir():
        return FolderFiles(place)
    if place.exists():
        raise ConfigError(f"is a file; model.path takes the folder of a checkpoint: {place.parent}")
    if not is_hub_id(path):
        raise ConfigError(_no_such_folder(path))
    cached = cached_instead(path, revision)
    if cached is None:
        return HubFiles(path, revision)
    return FolderFiles(cached, f"the cache ({cached}), and the hub cannot be asked")


def json_file(files: CheckpointFiles, name: str) -> Mapping[str, object]:
    """A small JSON file of a checkpoint.

    Raises:
        ConfigError: if it holds no JSON object.
    """
    try:
        document = json.loads(files.file(name).read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} is not JSON: {error}") from error
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{name} holds no JSON object")
    return document


def weight_files(files: CheckpointFiles) -> tuple[str, ...]:
    """Names of a checkpoint's weight files, in order: one file, or those that its index names.

    Without either, all that end in ``.safetensors``; empty if there are none.

    Raises:
        ConfigError: if its index cannot be read, or names a file elsewhere.
    """
    if WEIGHTS in files.names:
        return (WEIGHTS,)
    if INDEX in files.names:
        return shard_names(json_file(files, INDEX))
    return tuple(sorted(name for name in files.names if name.endswith(".safetensors")))


def shard_names(index: Mapping[str, object]) -> tuple[str, ...]:
    """Names of the weight files that an index names, in order.

    Raises:
        ConfigError: if it names none, or one that is not beside it.
    """
    shards = index.get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise ConfigError(f"{INDEX} names no weight files")
    names = sorted({str(shard) for shard in shards.values()})
    for name in names:
        if Path(name).name != name:
            raise ConfigError(f"{INDEX} names {name!r}, which is no file beside it")
    return tuple(names)


def without_weights(files: CheckpointFiles) -> str:
    """Why a checkpoint without safetensors is refused, in one line."""
    pickles = sorted(name for name in files.names if name.endswith(_PICKLES))
    if pickles:
        return (
            f"pickle weights ({pickles[0]}) are refused, they can run any code when they are "
            "loaded; save as safetensors: load them once with transformers and save_pretrained()"
        )
    return f"no weights (*.safetensors) in {files.where}"


def weight_bytes(path: str, revision: str | None) -> int:
    """Bytes of a checkpoint's weight files, of a folder's or as the hub tells them.

    Raises:
        ConfigError: as :func:`checkpoint_files` and :func:`weight_files`.
    """
    files = checkpoint_files(path, revision)
    return sum(files.size(name) or 0 for name in weight_files(files))


def _no_such_folder(path: str) -> str:
    """That a folder does not exist, and what is nearest to it."""
    if "://" in path:
        return "is no folder and no hub id"
    if path.startswith("~"):
        return f"no such folder; write {Path(path).expanduser()}"
    place = Path(path)
    there = next((folder for folder in place.parents if folder.is_dir()), None)
    if there is None:
        return "no such folder"
    if there != place.parent:
        return f"no such folder: {there} has no {place.relative_to(there).parts[0]}"
    names = [entry.name for entry in there.iterdir() if entry.is_dir()]
    near = difflib.get_close_matches(place.name, names, n=1)
    return f"no such folder; did you mean {there / near[0]}?" if near else "no such folder"
