"""Digests that tell models apart by their files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

_WHOLE_FILE_BYTES = 64 << 20
_SAMPLE_BYTES, _SAMPLES = 64 << 10, 256


def files_digest(path: str, revision: str | None) -> str:
    """SHA-256 of a file, or of a folder with what is below it; a hub id with its revision as it is.

    Small files count whole. Of large weight files the size, the header and evenly spaced samples
    count: hashing 15 GB would delay every start by a minute.

    Args:
        path: a file, a folder or a hub id.
        revision: commit of a hub id.
    """
    place = Path(path)
    if not place.exists():
        return f"{path}@{revision}"
    digest = hashlib.sha256()
    for name, file in [(place.name, place)] if place.is_file() else _files_below(place):
        digest.update(f"{name}:{file.stat().st_size}\n".encode())
        for piece in _pieces(file):
            digest.update(piece)
    return digest.hexdigest()


def _files_below(folder: Path) -> list[tuple[str, Path]]:
    """Relative names and paths of a model's files: not its texts, nor what tools keep there."""
    named = [
        (path.relative_to(folder), path)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".md"
    ]
    return sorted(
        (name.as_posix(), path)
        for name, path in named
        if not any(part.startswith(".") or part == "__pycache__" for part in name.parts[:-1])
    )


def _pieces(file: Path) -> Iterator[bytes]:
    size = file.stat().st_size
    if size <= _WHOLE_FILE_BYTES:
        yield file.read_bytes()
        return
    with file.open("rb") as stream:
        for sample in range(_SAMPLES):
            stream.seek(sample * (size - _SAMPLE_BYTES) // (_SAMPLES - 1))
            yield stream.read(_SAMPLE_BYTES)
