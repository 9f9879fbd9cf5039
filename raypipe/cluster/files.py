"""Files that travel with a run: its config, templates, solved examples, into one ConfigMap."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from raypipe.cluster.emit import BlockText
from raypipe.errors import ConfigError

MOUNTED_AT = "/config"
"""Folder of the files in every container, and the container's working directory."""
_MOST_BYTES = 1 << 20
"""Kubernetes' limit for all keys and values of a ConfigMap."""
_LONGEST_KEY = 253


@dataclass(frozen=True, slots=True)
class FileSet:
    """Files by their paths below a folder.

    Attributes:
        contents: bytes by relative path, with ``/`` between folders.
    """

    contents: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """Ten hex digits that are others for other files."""
        digest = hashlib.sha256()
        for path, content in sorted(self.contents.items()):
            digest.update(f"{path}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()[:10]

    @property
    def keys(self) -> Mapping[str, str]:
        """Keys in a ConfigMap, where no folders are, by path."""
        return {path: path.replace("/", "__") for path in self.contents}

    @property
    def texts(self) -> Mapping[str, BlockText]:
        """Texts by key, of the files that are texts."""
        return {
            self.keys[path]: BlockText(text)
            for path, content in self.contents.items()
            if (text := _as_text(content)) is not None
        }

    @property
    def binaries(self) -> Mapping[str, str]:
        """Base64 by key, of the files that are no texts."""
        return {
            self.keys[path]: base64.b64encode(content).decode()
            for path, content in self.contents.items()
            if _as_text(content) is None
        }


def read_files(folder: Path, paths: Sequence[str]) -> FileSet:
    """Files below a folder, as one ConfigMap takes them.

    Args:
        folder: that the paths start from.
        paths: relative ones of files; none leads out of the folder.

    Raises:
        ConfigError: naming the file, if there is none or it is no such path, and for more bytes
            than a ConfigMap takes.
    """
    contents = {path: _read(folder, path) for path in paths}
    files = FileSet(contents)
    keys = list(files.keys.values())
    for path, key in files.keys.items():
        if keys.count(key) > 1:
            raise ConfigError(f"files: {path}: another file has the key {key!r} in the ConfigMap")
    size = sum(len(key) + len(contents[path]) for path, key in files.keys.items())
    if size > _MOST_BYTES:
        largest = max(contents, key=lambda path: len(contents[path]))
        raise ConfigError(
            f"files: {size} bytes, and a ConfigMap holds {_MOST_BYTES} ({largest} has "
            f"{len(contents[largest])}): put them into an archive in object storage and set "
            "working_dir"
        )
    return files


def _read(folder: Path, path: str) -> bytes:
    parts = PurePosixPath(path).parts
    if not parts or path != "/".join(parts) or path.startswith("/") or ".." in parts:
        raise ConfigError(f"files: {path!r} is no path below the folder of the values")
    key = path.replace("/", "__")
    if len(key) > _LONGEST_KEY or not all(
        character.isascii() and (character.isalnum() or character in "-._") for character in key
    ):
        raise ConfigError(
            f"files: {path!r}: names in a ConfigMap have letters, digits, '-', '_' and '.' only"
        )
    place = folder / path
    if not place.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"files: {path} is a link out of the folder of the values")
    try:
        return place.read_bytes()
    except OSError as error:
        raise ConfigError(f"files: {path}: cannot be read: {error.strerror}") from error


def _as_text(content: bytes) -> str | None:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
