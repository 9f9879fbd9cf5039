"""Objects in S3 or anything that speaks its protocol, through boto3."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NoConnectionError

from raypipe.errors import ObjectMissingError, StoreError
from raypipe.store.object_version import ObjectVersion
from raypipe.store.patience import until_answered
from raypipe.store.s3_client import region, s3_client

if TYPE_CHECKING:
    import pyarrow.fs

_PROBE = ".raypipe-probe"
_BODY_TRIES = 6
_CONFLICT_TRIES = 6
_REQUEST_TRIES = 6
_PATIENT_REQUEST_TRIES = 2
"""Of boto3 for one request; who is patient repeats it, and wants to know of a failure soon."""

_REPLY_S = 60.0
_QUICK_REPLY_S = 5.0
"""Seconds that a request may be without an answer; the second where that is all it is about."""

_ARROW_TRIES = 10
_MOST_ARROW_TRIES = 100
_LONGEST_ARROW_PAUSE_S = 20.0
_CHUNK_BYTES = 1 << 20
_KEYS_PER_PAGE = 1000

_ATTEMPT = "raypipe-attempt"
"""Of an object's metadata: tells our own write from somebody else's."""

_SLOW_DOWN = ("SlowDown", "Throttling", "ThrottlingException", "RequestTimeout")
_NO_ANSWER = (
    HTTPClientError,
    NoConnectionError,
    IncompleteReadError,
    ConnectionError,
    TimeoutError,
)

_Reply = TypeVar("_Reply")


class S3Objects:
    """The objects below one prefix of a bucket; see :class:`raypipe.store.location.Objects`."""

    def __init__(self, bucket: str, prefix: str, endpoint: str | None, patience_s: float) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._endpoint = endpoint
        self._patience_s = patience_s

    @property
    def _client(self) -> Any:
        tries = _PATIENT_REQUEST_TRIES if self._patience_s else _REQUEST_TRIES
        return s3_client(self._endpoint, tries, _REPLY_S)

    def _patiently(self, ask: Callable[[], _Reply]) -> _Reply:
        """What the storage says; it is asked again while it does not answer."""
        return until_answered(ask, _is_silence, endpoint=self._endpoint, seconds=self._patience_s)

    def _where(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": f"{self._prefix}{name}"}

    def _uri(self, name: str = "") -> str:
        return f"s3://{self._bucket}/{self._prefix}{name}"

    def read(self, name: str) -> bytes:
        """A whole object in memory, verified as :meth:`open` does."""
        sink = io.BytesIO()
        self.download(name, sink)
        return sink.getvalue()

    def open(self, name: str) -> BinaryIO:
        """A whole object as an unnamed temporary file.

        Only a GET of the whole object is checked against its checksum; ranges would not be.
        """
        sink = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
        try:
            self.download(name, sink)
        except BaseException:
            sink.close()
            raise
        sink.seek(0)
        return sink

    def download(self, name: str, sink: BinaryIO) -> None:
        """Copy an object, asking again when its body breaks: boto3 retries requests, not bodies."""
        etag: dict[str, str] = {}
        broken: Exception | None = None
        for attempt in range(_BODY_TRIES):
            _wait(attempt)
            with _own_errors("read", self._uri(name)):
                reply = self._patiently(
                    lambda: self._client.get_object(**self._where(name), **etag)
                )
            etag.update(IfMatch=reply["ETag"])
            sink.seek(0)
            sink.truncate()
            try:
                found = _copy(reply["Body"], sink)
            except (BotoCoreError, OSError) as error:
                broken = error
                continue
            expected = reply["Metadata"].get("sha256", found)
            if found == expected:
                return
            broken = StoreError(f"SHA-256 of the body is {found}, it was written as {expected}")
        raise StoreError(
            f"cannot read {self._uri(name)} whole in {_BODY_TRIES} tries: {broken}"
        ) from broken

    def create(self, name: str, data: bytes, metadata: Mapping[str, str]) -> bool:
        """One PUT with ``If-None-Match: *``.

        A 412 can be the answer to a repetition of a PUT whose reply was lost, so the object is
        asked whose attempt it holds.
        """
        metadata = {_ATTEMPT: uuid.uuid4().hex, **metadata}
        for attempt in range(_CONFLICT_TRIES):
            _wait(attempt)
            try:
                self._put(name, data, metadata, IfNoneMatch="*")
            except ClientError as error:
                status = _status(error)
                if status == 412:
                    return self.metadata(name).get(_ATTEMPT) == metadata[_ATTEMPT]
                if status != 409:  # 409: another conditional write was in flight; ask again
                    raise _store_error("write", self._uri(name), error) from error
            except (BotoCoreError, OSError) as error:
                raise _store_error("write", self._uri(name), error) from error
            else:
                return True
        raise StoreError(
            f"cannot write {self._uri(name)}: other writers were in the way {_CONFLICT_TRIES} times"
        )

    def replace(self, name: str, data: bytes, metadata: Mapping[str, str]) -> None:
        """One plain PUT."""
        with _own_errors("write", self._uri(name)):
            self._put(name, data, metadata)

    def _put(self, name: str, data: bytes, metadata: Mapping[str, str], **condition: str) -> None:
        digest = hashlib.sha256(data).hexdigest()
        kept = {**metadata, "sha256": digest}
        self._patiently(
            lambda: self._client.put_object(
                **self._where(name), Body=data, Metadata=kept, **condition
            )
        )

    def exists(self, name: str) -> bool:
        """Whether there is an object; a missing bucket is an error, not an absence."""
        try:
            self.metadata(name)
        except ObjectMissingError:
            with _own_errors("find", self._uri(name)):  # a HEAD's 404 does not say what is missing
                self._patiently(lambda: self._list_one(self._client))
            return False
        return True

    def _list_one(self, client: Any) -> object:
        return client.list_objects_v2(Bucket=self._bucket, MaxKeys=1)

    def answers(self) -> bool:
        """Whether the storage answers within seconds, be it that it refuses."""
        try:
            self._list_one(s3_client(self._endpoint, 1, _QUICK_REPLY_S))
        except (BotoCoreError, ClientError, OSError) as error:
            return not _is_silence(error)
        return True

    def names(self) -> list[str]:
        """Names of all objects below the prefix, hidden ones left out."""
        return list(self.sizes())

    def size(self, name: str) -> int:
        """Size of an object."""
        return int(self._head(name)["ContentLength"])

    def sizes(self) -> dict[str, int]:
        """Names and sizes of all objects below the prefix, hidden ones left out."""
        return {name: told.size for name, told in self.versions().items()}

    def versions(self) -> dict[str, ObjectVersion]:
        """The same with their ETags, as the storage lists them."""
        return {
            name: ObjectVersion(int(item["Size"]), str(item["ETag"]))
            for name, item in self._listed().items()
        }

    def written(self) -> dict[str, float]:
        """The same with when they were written, by the storage's clock."""
        return {name: item["LastModified"].timestamp() for name, item in self._listed().items()}

    def _listed(self) -> dict[str, Mapping[str, Any]]:
        """What the storage lists below the prefix, hidden objects left out."""
        with _own_errors("list", self._uri()):
            found = self._patiently(self._pages)
        return {
            key: item
            for key, item in found.items()
            if not key.endswith("/") and not any(part.startswith(".") for part in key.split("/"))
        }

    def _pages(self) -> dict[str, Mapping[str, Any]]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket,
            Prefix=self._prefix,
            PaginationConfig={"PageSize": _KEYS_PER_PAGE},
        )
        return {
            str(item["Key"]).removeprefix(self._prefix): item
            for page in pages
            for item in page.get("Contents", ())
        }

    def metadata(self, name: str) -> Mapping[str, str]:
        """The object's user metadata."""
        found: Mapping[str, str] = self._head(name)["Metadata"]
        return found

    def digest(self, name: str) -> str:
        """The SHA-256 that raypipe stored beside its own objects, the ETag of others."""
        head = self._head(name)
        sha256 = head["Metadata"].get("sha256")
        return f"etag:{head['ETag']}" if sha256 is None else f"sha256:{sha256}"

    def _head(self, name: str) -> Any:
        with _own_errors("read", self._uri(name)):
            return self._patiently(lambda: self._client.head_object(**self._where(name)))

    def probe(self) -> None:
        """Put one small hidden object until it is refused.

        The object is left there: removing it could make a concurrent probe fail, the next run's
        probe is then refused at once, and a key without the right to delete is enough.
        """
        for _ in range(2):
            if not self.create(_PROBE, b"raypipe checks that If-None-Match is honoured\n", {}):
                return
        raise StoreError(
            f"{self._uri()} accepts a conditional PUT (If-None-Match: *) to a name that is taken; "
            "results could be overwritten silently. Use a server that refuses it with 412"
        )

    def filesystem(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """Arrow's S3 client with the same endpoint, for readers of many small ranges.

        It waits for storage by itself. Files that are Python objects could wait and tell so, but
        Arrow holds Python's lock where it waits for its own threads, which those files need.
        """
        from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

        tries = max(_ARROW_TRIES, _arrow_tries(self._patience_s))
        system = S3FileSystem(
            endpoint_override=self._endpoint,
            region=region(),
            retry_strategy=AwsStandardS3RetryStrategy(max_attempts=tries),
        )
        return system, f"{self._bucket}/{self._prefix}".rstrip("/")


def _arrow_tries(patience_s: float) -> int:
    """Tries whose pauses take about so long together.

    The AWS SDK pauses for a random part of 1, 2, 4 … 20 s. It gives a client a hundred repetitions
    to begin with, and more for what succeeds: some 900 s.
    """
    tries, pause_s, waited_s = 1, 1.0, 0.0
    while waited_s < patience_s and tries < _MOST_ARROW_TRIES:
        waited_s += pause_s / 2
        pause_s = min(2 * pause_s, _LONGEST_ARROW_PAUSE_S)
        tries += 1
    return tries


def _copy(body: BinaryIO, sink: BinaryIO) -> str:
    """Copy a response body; the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    with contextlib.closing(body):
        for chunk in iter(lambda: body.read(_CHUNK_BYTES), b""):
            digest.update(chunk)
            sink.write(chunk)
    return digest.hexdigest()


def _wait(attempt: int) -> None:
    """Back off before a repetition, with jitter so that writers do not meet again."""
    if attempt:
        time.sleep(random.uniform(0.5, 1.0) * min(0.1 * 2**attempt, 5.0))


def _is_silence(error: Exception) -> bool:
    """Whether a request failed for want of an answer, and the same one may succeed later."""
    if isinstance(error, ClientError):
        status, code = _status(error), error.response.get("Error", {}).get("Code")
        return (status >= 500 and status != 501) or status == 429 or code in _SLOW_DOWN
    if isinstance(error, SSLError):
        return False
    return isinstance(error, _NO_ANSWER)


def _status(error: ClientError) -> int:
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status


@contextlib.contextmanager
def _own_errors(action: str, uri: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError, OSError) as error:
        raise _store_error(action, uri, error) from error


def _store_error(action: str, uri: str, error: Exception) -> StoreError:
    """The store's own error: what failed where and why, never a key or a signature."""
    if not isinstance(error, ClientError):
        return StoreError(f"cannot {action} {uri}: {error}")
    code, status = error.response.get("Error", {}).get("Code", "unknown"), _status(error)
    if status == 404 and code in ("404", "NoSuchKey"):
        return ObjectMissingError(f"{uri} is not there")
    return StoreError(f"cannot {action} {uri}: {code} (HTTP {status})")
