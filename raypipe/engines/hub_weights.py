"""Weights of the hub, fetched into its own cache once for all processes of a machine."""

from __future__ import annotations

from pathlib import Path

from raypipe.engines.checkpoint_files import (
    INDEX,
    WEIGHTS,
    FolderFiles,
    checkpoint_files,
    json_file,
    shard_names,
    without_weights,
)
from raypipe.engines.once_per_node import node_lock
from raypipe.engines.weight_files import weight_files
from raypipe.errors import UnsupportedError


def weights_folder(path: str, revision: str | None) -> Path:
    """Folder with the weights of a checkpoint; those of a hub id are fetched if they are not here.

    The hub's client shows how far it is, checks what it fetched, goes on where it was interrupted,
    and takes what lies in its cache without asking where it is told to be offline
    (``HF_HUB_OFFLINE``).

    Args:
        path: local directory or hub id.
        revision: commit of a hub id.

    Raises:
        ConfigError: if an index cannot be read.
        UnsupportedError: if there are no safetensors, or not all that an index names.
        EngineError: if the index of a folder names a file that is not there.
        OSError: if the hub does not answer or does not hand them out.
    """
    if Path(path).is_dir():
        weight_files(Path(path))
        return Path(path)
    with node_lock(f"{path}@{revision}"):
        whole = _fetched(path, WEIGHTS, revision)
        if whole is not None:
            return whole.parent
        index = _fetched(path, INDEX, revision)
        if index is None:
            raise UnsupportedError(f"{path}: {without_weights(checkpoint_files(path, revision))}")
        # All of one commit, whatever the revision points at by now.
        commit = index.parent.name
        for name in shard_names(json_file(FolderFiles(index.parent), INDEX)):
            if _fetched(path, name, commit) is None:
                raise UnsupportedError(
                    f"{path}: {name}, which its {INDEX} names, is not on the hub, or it cannot be "
                    "asked and the cache has it not"
                )
        return index.parent


def has_file(path: str, name: str, revision: str | None) -> bool:
    """Whether a local directory or a hub id has a file; small ones of the hub are fetched."""
    folder = Path(path)
    if folder.is_dir():
        return (folder / name).is_file()
    return _fetched(path, name, revision) is not None


def _fetched(path: str, name: str, revision: str | None) -> Path | None:
    """A file of a hub id in the hub's cache; None if it has none of that name.

    Where the hub cannot be asked, what is in the cache is all that there is.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

    try:
        return Path(hf_hub_download(path, name, revision=revision))
    except RemoteEntryNotFoundError:
        return None
    except LocalEntryNotFoundError:
        if _is_cached(path, revision):
            return None
        raise


def _is_cached(path: str, revision: str | None) -> bool:
    """Whether some of a checkpoint is in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    known = ("config.json", WEIGHTS, INDEX)
    return any(
        isinstance(try_to_load_from_cache(path, name, revision=revision), str) for name in known
    )
