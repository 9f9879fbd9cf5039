"""A place for objects, the same to its users whether it is a directory or an S3 prefix."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from raypipe.endpoints import endpoint_fault
from raypipe.errors import ConfigError, FingerprintError, StoreError
from raypipe.store.bounds import Bounds
from raypipe.store.local import LocalObjects
from raypipe.store.object_version import ObjectVersion
from raypipe.store.patience import current_patience, has_answered
from raypipe.store.s3 import S3Objects

if TYPE_CHECKING:
    import pyarrow.fs

FINGERPRINT_KEY = "raypipe.fingerprint"


class Objects(Protocol):
    """What a back end can do with the objects below one place.

    Every method raises :class:`StoreError` when the storage refuses, and
    :class:`ObjectMissingError` for a name that is not there.
    """

    def read(self, name: str) -> bytes:
        """A whole object, checked against its checksum where the storage keeps one."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A whole object as a seekable stream, for objects that may not fit into memory."""
        ...

    def create(self, name: str, data: bytes, metadata: Mapping[str, str]) -> bool:
        """Publish an object in one step unless the name is taken; whether this call did it."""
        ...

    def replace(self, name: str, data: bytes, metadata: Mapping[str, str]) -> None:
        """Publish an object in one step, in place of what the name held."""
        ...

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name."""
        ...

    def names(self) -> list[str]:
        """Names of all objects, relative to the place, hidden ones left out, in no order."""
        ...

    def sizes(self) -> dict[str, int]:
        """The same names, each with its object's size in bytes."""
        ...

    def written(self) -> dict[str, float]:
        """The same with when they were written, in seconds since 1970."""
        ...

    def versions(self) -> dict[str, ObjectVersion]:
        """The same names, each with its object's size and a text that changes with it."""
        ...

    def download(self, name: str, sink: BinaryIO) -> None:
        """Copy a whole object into an empty file, checked as :meth:`read` does."""
        ...

    def size(self, name: str) -> int:
        """Size of an object in bytes."""
        ...

    def metadata(self, name: str) -> Mapping[str, str]:
        """What :meth:`create` kept beside the object; empty where the storage keeps nothing."""
        ...

    def digest(self, name: str) -> str:
        """``sha256:`` or ``etag:`` and a text that changes with the object's bytes."""
        ...

    def probe(self) -> None:
        """Raise :class:`StoreError` unless :meth:`create` really refuses a taken name."""
        ...

    def answers(self) -> bool:
        """Whether the storage answers within seconds, be it that it refuses."""
        ...

    def filesystem(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """A ``pyarrow.fs.FileSystem`` and the path of the place in it."""
        ...


@dataclass(frozen=True)
class Location:
    """A local directory or an ``s3://bucket/prefix``; make one with :meth:`parse`.

    It holds no secret and no connection, so it can be pickled into workers: credentials come from
    each process's environment, and a client is made when it is first used.

    Attributes:
        uri: absolute path or ``s3://bucket/prefix``, without a slash at the end.
        endpoint: URL of an S3-compatible server; None for the cloud's own.
        patience_s: that object storage may leave an operation without an answer before it fails;
            see :mod:`raypipe.store.patience`.
        bounds: paths below which files, links included, must lie; none for any.
    """

    uri: str
    endpoint: str | None = None
    patience_s: float = field(default_factory=current_patience, compare=False, repr=False)
    bounds: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def parse(cls, uri: str, endpoint: str | None = None) -> Location:
        """A location from what a user wrote.

        Args:
            uri: a path, relative to the working directory or absolute, or an S3 URI.
            endpoint: S3 server; default ``AWS_ENDPOINT_URL_S3``, then ``AWS_ENDPOINT_URL``.

        Raises:
            ConfigError: for another scheme, a missing bucket, or credentials inside a URL.
        """
        if "://" not in uri:
            if not uri:
                raise ConfigError("a location needs a path or an s3:// URI, got an empty text")
            return cls(os.path.abspath(uri))
        scheme, _, rest = uri.partition("://")
        bucket, _, prefix = rest.partition("/")
        if scheme != "s3":
            raise ConfigError(f"a location is a path or an s3:// URI, not {scheme}://")
        if "@" in bucket or "?" in uri:
            raise ConfigError("an s3:// URI holds no credentials or options; use the environment")
        if not bucket:
            raise ConfigError(f"{uri!r} names no bucket")
        clean = posixpath.normpath(f"/{prefix}").strip("/")
        environment = os.environ.get
        chosen = endpoint or environment("AWS_ENDPOINT_URL_S3") or environment("AWS_ENDPOINT_URL")
        return cls(f"s3://{bucket}/{clean}".rstrip("/"), _checked_endpoint(chosen))

    @classmethod
    def parse_object(cls, uri: str, endpoint: str | None = None) -> tuple[Location, str]:
        """The location that holds an object, and the object's name in it.

        Raises:
            ConfigError: as :meth:`parse`, and for an S3 URI without a key.
        """
        whole = cls.parse(uri, endpoint)
        parent, _, name = whole.uri.rpartition("/")
        if not name or parent == "s3:/":
            raise ConfigError(f"{uri!r} names no object")
        return cls(parent or "/", whole.endpoint), name

    def __reduce__(
        self,
    ) -> tuple[Callable[..., Location], tuple[str, str | None, float, tuple[str, ...]]]:
        return _sent_here, (self.uri, self.endpoint, self.patience_s, self.bounds)

    def confined(self, allowed: Iterable[Location] = ()) -> Location:
        """The same place for data of strangers: links out of it are refused.

        Object storage has no links.

        Args:
            allowed: further places that links may lead to.
        """
        local = (place.uri for place in (self, *allowed) if not place.is_s3)
        return replace(self, bounds=tuple(local))

    @property
    def is_s3(self) -> bool:
        """Whether objects lie in object storage rather than in files."""
        return self.uri.startswith("s3://")

    @cached_property
    def _objects(self) -> Objects:
        if not self.is_s3:
            return LocalObjects(self.uri, Bounds(self.bounds) if self.bounds else None)
        bucket, _, prefix = self.uri.removeprefix("s3://").partition("/")
        return S3Objects(bucket, prefix, self.endpoint, self.patience_s)

    def child(self, *parts: str) -> Location:
        """The location below this one; a part may itself hold slashes."""
        below = f"{self.uri.rstrip('/')}/{_checked('/'.join(parts))}"
        return Location(below, self.endpoint, self.patience_s, self.bounds)

    def read(self, name: str) -> bytes:
        """A whole object.

        Raises:
            ObjectMissingError: if there is none of that name.
            StoreError: if the storage refuses or cannot deliver it whole.
        """
        return self._objects.read(_checked(name))

    def open(self, name: str) -> BinaryIO:
        """A whole object as a seekable stream that need not fit into memory; raises as `read`."""
        return self._objects.open(_checked(name))

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name."""
        return self._objects.exists(_checked(name))

    def list(self, suffix: str = ".parquet") -> list[str]:
        """Names of the objects below, at any depth, that end with ``suffix``, in sorted order.

        Names with a part that begins with a dot are housekeeping and left out. A place that does
        not exist holds nothing.
        """
        return sorted(name for name in self._objects.names() if name.endswith(suffix))

    def sizes(self) -> Mapping[str, int]:
        """Names of all objects below, in sorted order, each with its object's size in bytes.

        Which objects those are is as for :meth:`list`.
        """
        return dict(sorted(self._objects.sizes().items()))

    def written(self) -> Mapping[str, float]:
        """Names of all objects below, each with when it was written, in seconds since 1970.

        Which objects those are is as for :meth:`list`; the clock is the storage's.
        """
        return self._objects.written()

    def versions(self) -> Mapping[str, ObjectVersion]:
        """Names of all objects below, in sorted order, each with what tells its versions apart.

        Which objects those are is as for :meth:`list`.
        """
        return dict(sorted(self._objects.versions().items()))

    def download(self, name: str, sink: BinaryIO) -> None:
        """Copy a whole object into an empty file that is open for reading and writing.

        Raises:
            ObjectMissingError: if there is none of that name.
            StoreError: if the storage refuses or cannot deliver it whole.
        """
        self._objects.download(_checked(name), sink)

    def size(self, name: str) -> int:
        """Size of an object in bytes; of an S3 object only the metadata are read.

        Raises:
            ObjectMissingError: if there is none of that name.
            StoreError: if the storage refuses.
        """
        return self._objects.size(_checked(name))

    def create(self, name: str, data: bytes) -> bool:
        """Publish an object in one step unless the name is taken; whether this call did it."""
        return self._objects.create(_checked(name), data, {})

    def write_new(self, name: str, data: bytes, fingerprint: str) -> bool:
        """Commit an object: readers see all of it or nothing, and the first writer wins.

        Args:
            name: of the object, relative to this location.
            data: its bytes; Parquet with ``raypipe.fingerprint`` in its metadata, or JSON with it
                as a top-level key.
            fingerprint: of the run that made it.

        Returns:
            True if this call published the object, even when the storage's reply was lost; False
            if another attempt of the same run did.

        Raises:
            FingerprintError: if the name is taken by another run's object.
        """
        metadata = {"raypipe-fingerprint": fingerprint}
        if self._objects.create(_checked(name), data, metadata):
            return True
        held = self.fingerprint_of(name)
        if held == fingerprint:
            return False
        raise FingerprintError(
            f"{self.uri}/{name} holds results of another run (fingerprint {held or 'none'}); "
            f"this run's is {fingerprint}"
        )

    def write(self, name: str, data: bytes) -> None:
        """Publish an object in one step, in place of what the name held."""
        self._objects.replace(_checked(name), data, {})

    def write_changed(self, name: str, data: bytes) -> None:
        """Publish an object as :meth:`write`, unless it is there with these bytes."""
        if not self.exists(name) or self.read(name) != data:
            self.write(name, data)

    def fingerprint_of(self, name: str) -> str | None:
        """The fingerprint an object was committed with, or None if it carries none."""
        kept = self._objects.metadata(_checked(name)).get("raypipe-fingerprint")
        if kept is not None:
            return kept
        with self.open(name) as stream:
            return _FINGERPRINT_READERS.get(posixpath.splitext(name)[1], _no_fingerprint)(stream)

    def digest(self, name: str) -> str:
        """A text that changes with the object's bytes: ``sha256:...``, or on S3 maybe ``etag:...``.

        A local file is read for it; of an S3 object only the metadata are.
        """
        return self._objects.digest(_checked(name))

    def probe_conditional_writes(self) -> None:
        """Make sure that a second conditional write to one name is refused, as commits need it.

        A local directory is also cleared of temporary files that dead processes left behind.

        Raises:
            StoreError: if the storage accepts it: some S3 servers ignore ``If-None-Match``.
        """
        self._objects.probe()

    def answers(self) -> bool:
        """Whether the storage answers within seconds, be it that it refuses."""
        return self._objects.answers()

    def filesystem(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """A ``pyarrow.fs.FileSystem`` and this location's path in it, for columnar readers."""
        return self._objects.filesystem()


def _sent_here(
    uri: str, endpoint: str | None, patience_s: float, bounds: tuple[str, ...]
) -> Location:
    """A location from another process, which had an answer from its storage before."""
    has_answered(endpoint)
    return Location(uri, endpoint, patience_s, bounds)


def _checked(name: str) -> str:
    """A name that stays below its location, whoever wrote it."""
    parts = name.split("/")
    if not name or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise StoreError(f"{name!r} is not the name of an object below a location")
    return name


def _checked_endpoint(endpoint: str | None) -> str | None:
    fault = None if endpoint is None else endpoint_fault(endpoint)
    if fault is not None:
        raise ConfigError(fault)
    return endpoint


def _parquet_fingerprint(stream: BinaryIO) -> str | None:
    try:
        metadata = pq.read_metadata(stream).metadata or {}
    except (pa.ArrowException, OSError):
        return None
    value = metadata.get(FINGERPRINT_KEY.encode())
    return None if value is None else str(value, "utf-8", "replace")


def _json_fingerprint(stream: BinaryIO) -> str | None:
    try:
        document = json.loads(stream.read())
    except ValueError:
        return None
    value = document.get("fingerprint") if isinstance(document, dict) else None
    return value if isinstance(value, str) else None


def _no_fingerprint(stream: BinaryIO) -> str | None:
    return None


_FINGERPRINT_READERS: Mapping[str, Callable[[BinaryIO], str | None]] = {
    ".parquet": _parquet_fingerprint,
    ".json": _json_fingerprint,
}
