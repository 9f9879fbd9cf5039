"""What the server answers to each address, without the network around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Final

import duckdb
import pyarrow as pa

from raypipe.errors import (
    ConfigError,
    DecodeError,
    ObjectMissingError,
    RaypipeError,
    ShardError,
    StoreError,
)
from raypipe.reporting.clips import BrowserClip, browser_clip, stored_clip
from raypipe.reporting.view import pages
from raypipe.reporting.view.errors import errors_of
from raypipe.reporting.view.listing import OpenRuns
from raypipe.reporting.view.pages import AudioState
from raypipe.reporting.view.ranges import asked_range
from raypipe.reporting.view.selection import fields_of, parse_selection, whole_number
from raypipe.store.damage import damage_named

_KEPT_CLIPS: Final = 8
HTML: Final = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class ViewAnswer:
    """Status, body and headers of an answer."""

    status: HTTPStatus
    body: bytes
    content_type: str = HTML
    headers: Mapping[str, str] = field(default_factory=dict)


def problem(status: HTTPStatus, message: str) -> ViewAnswer:
    """A page that says what is wrong."""
    return ViewAnswer(status, pages.problem_page(status.phrase, message).encode())


class Viewer:
    """The pages of some runs.

    Args:
        runs: that are looked into.
    """

    def __init__(self, runs: OpenRuns) -> None:
        self._runs = runs
        # A browser asks for a recording in many pieces.
        self._stored = lru_cache(maxsize=_KEPT_CLIPS)(stored_clip)

    def answer(self, path: str, query: str, wanted_range: str | None) -> ViewAnswer:
        """The answer to a request that may be answered.

        Args:
            path: of the address.
            query: of the address, as it came.
            wanted_range: the ``Range`` header.
        """
        try:
            with damage_named(*(run.location for run in self._runs.runs)):
                return self._answer(path, fields_of(query), wanted_range)
        except ConfigError as error:
            return problem(HTTPStatus.BAD_REQUEST, str(error))
        except ObjectMissingError as error:
            return problem(HTTPStatus.NOT_FOUND, str(error))
        except (RaypipeError, duckdb.Error, pa.ArrowException, OSError) as error:
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, f"The tables cannot be read: {error}")

    def _answer(
        self, path: str, fields: Mapping[str, list[str]], wanted_range: str | None
    ) -> ViewAnswer:
        if path == "/style.css":
            return ViewAnswer(HTTPStatus.OK, pages.style().encode(), "text/css; charset=utf-8")
        if path == "/":
            page = pages.overview_page(self._runs, parse_selection(fields))
            return ViewAnswer(HTTPStatus.OK, page.encode())
        if path == "/utterance":
            return self._utterance(fields)
        if path == "/audio":
            return self._audio(fields, wanted_range)
        if path == "/errors":
            number = self._run_number(fields)
            page_number = whole_number("page", fields.get("page", ["1"])[-1], least=1)
            run = self._runs.runs[number]
            listed = errors_of(run.datasets.get("errors"), page_number)
            page = pages.errors_page(listed, run.name, number)
            return ViewAnswer(HTTPStatus.OK, page.encode())
        return problem(HTTPStatus.NOT_FOUND, f"There is no page {path}")

    def _run_number(self, fields: Mapping[str, list[str]]) -> int:
        number = whole_number("run", fields.get("run", ["0"])[-1], least=0)
        if number >= len(self._runs.runs):
            raise ConfigError(f"there is no run {number}")
        return number

    def _utterance(self, fields: Mapping[str, list[str]]) -> ViewAnswer:
        utterance_id = fields.get("id", [""])[-1]
        place = fields.get("at", [""])[-1]
        page = pages.utterance_page(
            self._runs,
            parse_selection(fields),
            utterance_id,
            whole_number("at", place, least=0) if place else None,
            self._audio_state(utterance_id),
        )
        if page is None:
            return problem(HTTPStatus.NOT_FOUND, f"No table names an utterance {utterance_id!r}")
        return ViewAnswer(HTTPStatus.OK, page.encode())

    def _audio_state(self, utterance_id: str) -> AudioState:
        try:
            clip = self._clip(utterance_id)
        except RaypipeError as error:
            return AudioState("", "", str(error))
        return pages.audio_state(pages.audio_address(utterance_id), clip)

    def _clip(self, utterance_id: str) -> BrowserClip:
        """The recording of an utterance, out of the shards of the first run that has it."""
        reasons: dict[str, None] = {}
        for run in self._runs.runs:
            shard = run.shard_of(utterance_id)
            if shard is None:
                continue
            if run.shards is None:
                reasons["the run does not say where its shards are; --shards does"] = None
                continue
            try:
                return browser_clip(self._stored(run.shards, shard, utterance_id))
            except (ShardError, StoreError, DecodeError) as error:
                reasons[str(error)] = None
        raise ShardError("; ".join(reasons) or "no table says which shard it is in")

    def _audio(self, fields: Mapping[str, list[str]], wanted_range: str | None) -> ViewAnswer:
        try:
            clip = self._clip(fields.get("id", [""])[-1])
        except ShardError as error:
            return problem(HTTPStatus.NOT_FOUND, str(error))
        size = len(clip.data)
        wanted = asked_range(wanted_range, size)
        if wanted is None:
            return ViewAnswer(
                HTTPStatus.OK, clip.data, clip.content_type, {"Accept-Ranges": "bytes"}
            )
        headers = {"Accept-Ranges": "bytes", "Content-Range": f"bytes */{size}"}
        if not wanted:
            status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            return ViewAnswer(status, b"", clip.content_type, headers)
        headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
        part = clip.data[wanted.start : wanted.stop]
        return ViewAnswer(HTTPStatus.PARTIAL_CONTENT, part, clip.content_type, headers)
