"""Arrow's files in object storage, read on after the storage was away for a while."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TypeVar

import pyarrow as pa
import pyarrow.fs

_TRIES = 3
"""Failures in a row of a read while the storage answers otherwise: then the read is at fault."""

Result = TypeVar("Result")


class PatientFiles(pyarrow.fs.FileSystemHandler):  # type: ignore[misc]
    """A file system for reading that waits where the one below fails for want of an answer.

    Arrow says why a request failed in words alone. So after a failure the storage is asked
    something else, through a client that tells reasons by type and waits for the answer.

    Args:
        below: the file system.
        wait: returns once the storage answers; raises if it does not, or refuses.
    """

    def __init__(self, below: pyarrow.fs.FileSystem, wait: Callable[[], object]) -> None:
        self._below, self._wait = below, wait

    def patiently(self, read: Callable[[], Result]) -> Result:
        """What ``read`` returns, repeated while it fails for want of an answer."""
        for _ in range(_TRIES - 1):
            try:
                return read()
            except FileNotFoundError:
                raise
            except OSError:
                self._wait()
        return read()

    def get_type_name(self) -> str:  # noqa: D102
        return f"patient+{self._below.type_name}"

    def normalize_path(self, path: str) -> str:  # noqa: D102
        normalized: str = self._below.normalize_path(path)
        return normalized

    def get_file_info(self, paths: Sequence[str]) -> object:  # noqa: D102
        return self.patiently(lambda: self._below.get_file_info(paths))

    def get_file_info_selector(self, selector: pyarrow.fs.FileSelector) -> object:  # noqa: D102
        return self.patiently(lambda: self._below.get_file_info(selector))

    def open_input_file(self, path: str) -> pa.PythonFile:  # noqa: D102
        return pa.PythonFile(_PatientFile(self, self._below, path), mode="r")

    def open_input_stream(self, path: str) -> pa.PythonFile:  # noqa: D102
        return self.open_input_file(path)

    def _refuse(self, *arguments: object, **named: object) -> None:
        raise io.UnsupportedOperation("these files are read only")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = _refuse
    delete_file = move = copy_file = open_output_stream = open_append_stream = _refuse


class _PatientFile:
    """A file that is opened again where a read of it failed."""

    closed = False

    def __init__(self, files: PatientFiles, below: pyarrow.fs.FileSystem, path: str) -> None:
        self._files, self._below, self._path = files, below, path
        self._file: pa.NativeFile | None = None
        self._at = 0
        self._size: int = files.patiently(self._opened).size()

    def _opened(self) -> pa.NativeFile:
        self._file = self._file or self._below.open_input_file(self._path)
        return self._file

    def _read(self, count: int) -> bytes:
        try:
            data: bytes = self._opened().read_at(count, self._at)
        except OSError:
            self._file = None
            raise
        return data

    def read(self, count: int = -1) -> bytes:
        rest = self._size - self._at
        wanted = rest if count < 0 else min(count, rest)
        data = self._files.patiently(lambda: self._read(wanted)) if wanted > 0 else b""
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True
        self._file = None
