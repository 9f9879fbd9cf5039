"""Objects as files: written beside their place, flushed to disk, then linked to their name."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import socket
import stat
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from raypipe.errors import ObjectMissingError, OutsideError, StoreError
from raypipe.store.bounds import Bounds
from raypipe.store.object_version import ObjectVersion

if TYPE_CHECKING:
    import pyarrow.fs

_TEMPORARY = re.compile(r"\.raypipe-(?P<host>.+)-(?P<process>\d+)-[0-9a-f]{32}\.tmp")
_NOT_AN_OBJECT = {
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
    errno.ELOOP,  # links that lead to each other
}


class LocalObjects:
    """The files below one directory; see :class:`raypipe.store.location.Objects`."""

    def __init__(self, root: str, bounds: Bounds | None = None) -> None:
        self._root, self._bounds = Path(root), bounds

    def _readable(self, name: str) -> Path:
        """Path of a file that is to be read."""
        path = self._root / name
        if self._bounds is not None:
            self._bounds.real_path(path)
        with contextlib.suppress(OSError):  # opening it says why it cannot be read
            mode = path.stat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                # A pipe may never have an end, and a device has none.
                raise StoreError(f"{path} is neither a file nor a folder")
        return path

    def read(self, name: str) -> bytes:
        """A whole file."""
        path = self._readable(name)
        with _own_errors(path, "read"):
            return path.read_bytes()

    def open(self, name: str) -> BinaryIO:
        """A file, opened for reading."""
        path = self._readable(name)
        with _own_errors(path, "read"):
            return path.open("rb")

    def create(self, name: str, data: bytes, metadata: Mapping[str, str]) -> bool:
        """Link a fully written file to its name, which fails if the name is taken.

        ``metadata`` is not kept: a file's fingerprint is inside it.
        """
        target = self._root / name
        with _own_errors(target, "write"), _flushed_file(target.parent, data) as temporary:
            try:
                os.link(temporary, target)
            except FileExistsError:
                # On network file systems the reply to a link that succeeded can be lost; then
                # the temporary file has a second name.
                if os.stat(temporary).st_nlink != 2:
                    return False
            _flush_directory(target.parent)
        return True

    def replace(self, name: str, data: bytes, metadata: Mapping[str, str]) -> None:
        """Rename a fully written file to its name."""
        target = self._root / name
        with _own_errors(target, "write"), _flushed_file(target.parent, data) as temporary:
            os.replace(temporary, target)
            _flush_directory(target.parent)

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return (self._root / name).is_file()

    def names(self) -> list[str]:
        """Names of all files below, hidden files and directories left out."""
        return [
            path.relative_to(self._root).as_posix()
            for path in _files(self._root)
            if not path.name.startswith(".")
        ]

    def sizes(self) -> dict[str, int]:
        """The same names with the sizes of their files; a link that leads nowhere is left out.

        One that leads out of the bounds has a size, too, and is refused when it is read.
        """
        found: dict[str, int] = {}
        for name in self.names():
            try:
                found[name] = self.size(name)
            except OutsideError:
                found[name] = (self._root / name).lstat().st_size
            except ObjectMissingError:
                continue
        return found

    def versions(self) -> dict[str, ObjectVersion]:
        """The same with when their files were written."""
        found: dict[str, ObjectVersion] = {}
        for name in self.names():
            with contextlib.suppress(FileNotFoundError):
                told = (self._root / name).stat()
                found[name] = ObjectVersion(told.st_size, str(told.st_mtime_ns))
        return found

    def written(self) -> dict[str, float]:
        """The same with when their files were written."""
        found: dict[str, float] = {}
        for name in self.names():
            with contextlib.suppress(FileNotFoundError):
                found[name] = (self._root / name).stat().st_mtime
        return found

    def download(self, name: str, sink: BinaryIO) -> None:
        """Copy a file."""
        path = self._readable(name)
        with _own_errors(path, "read"), path.open("rb") as stream:
            shutil.copyfileobj(stream, sink)

    def size(self, name: str) -> int:
        """Size of a file."""
        path = self._readable(name)
        with _own_errors(path, "read"):
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            return path.stat().st_size

    def metadata(self, name: str) -> Mapping[str, str]:
        """Nothing: files keep their metadata inside."""
        return {}

    def digest(self, name: str) -> str:
        """SHA-256 of the file."""
        path = self._readable(name)
        with _own_errors(path, "read"), path.open("rb") as stream:
            return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"

    def probe(self) -> None:
        """Check that linking to a taken name fails here, and clear away what dead writers left."""
        self._remove_leftovers()
        name = f".raypipe-probe-{uuid.uuid4().hex}"
        try:
            first, second = (self.create(name, b"probe", {}) for _ in range(2))
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._root / name)
        if not first or second:
            raise StoreError(f"{self._root} does not refuse to create a file twice")

    def _remove_leftovers(self) -> None:
        for path in _files(self._root):
            found = _TEMPORARY.fullmatch(path.name)
            if found and found["host"] == socket.gethostname() and _is_dead(int(found["process"])):
                path.unlink(missing_ok=True)

    def answers(self) -> bool:
        """A file system answers, or the process hangs."""
        return True

    def filesystem(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """The local file system."""
        import pyarrow.fs

        return pyarrow.fs.LocalFileSystem(), str(self._root)


def _files(root: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # a place that is not there holds nothing
            raise StoreError(f"cannot list {error.filename}: {error.strerror}") from error

    for folder, folders, files in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            yield Path(folder, name)


@contextlib.contextmanager
def _flushed_file(folder: Path, data: bytes) -> Iterator[Path]:
    """A temporary file on the target's own file system, on disk before it is named.

    Its name says whose it is, so that the next run can remove it if this process is killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"
    path = folder / f".raypipe-{mark}.tmp"
    try:
        with path.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        yield path
    finally:
        path.unlink(missing_ok=True)


def _flush_directory(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_dead(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


@contextlib.contextmanager
def _own_errors(path: Path, action: str) -> Iterator[None]:
    """Raise the store's own errors for the operating system's, with the path and the reason."""
    try:
        yield
    except OSError as error:
        if action == "read" and error.errno in _NOT_AN_OBJECT:
            raise ObjectMissingError(f"{path} is not there ({error.strerror})") from error
        raise StoreError(f"cannot {action} {path}: {error.strerror or error}") from error
