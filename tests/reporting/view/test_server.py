"""The server over real sockets: keys, hosts, headers, ranges, what is missing, its end."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pyarrow.parquet as pq
import pytest
import soundfile
from in_process import InProcess
from viewed_runs import HOSTILE, HOSTILE_ID, STRATEGIES, finish, rewritten

from raypipe.errors import ConfigError
from raypipe.reporting.view.server import POLICY, RunningView


class Reader:
    """A client that has used the token."""

    def __init__(self, running: RunningView) -> None:
        self.host = f"127.0.0.1:{running.port}"
        self.port = running.port
        self.headers: dict[str, str] = {}
        reply = self.get(running.address.removeprefix(f"http://{self.host}"))
        assert reply.status == 303
        assert reply.getheader("Location") == "/"
        self.headers["Cookie"] = str(reply.getheader("Set-Cookie")).partition(";")[0]

    def get(self, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers={**self.headers, **names})
        reply = connection.getresponse()
        reply.body = reply.read()  # type: ignore[attr-defined]
        connection.close()
        return reply

    def page(self, path: str, status: int = 200) -> str:
        reply = self.get(path)
        body: bytes = reply.body  # type: ignore[attr-defined]
        assert reply.status == status, body.decode()
        return body.decode()


def audio_of(key: str) -> str:
    return f"/audio?id={quote(key)}"


def test_a_token_works_once_and_nothing_without_its_cookie(run: Path, serve: Any) -> None:
    with serve(run) as running:
        reader = Reader(running)
        assert "u3" in reader.page("/")
        again = running.address.removeprefix(f"http://{reader.host}")
        assert reader.get(again).status == 303, "a reload with the cookie"
        cookie = reader.headers.pop("Cookie")
        paths = ("/", again, "/style.css", "/utterance?id=u1", audio_of("u1"), "/errors", "/nope")
        for path in paths:
            reply = reader.get(path)
            assert reply.status == 403, path
            assert reply.getheader("Set-Cookie") is None
            assert b"u1" not in reply.body  # type: ignore[attr-defined]
        reader.headers["Cookie"] = cookie[:-1]
        assert reader.get("/").status == 403


def test_a_name_that_was_rebound_to_this_machine_is_refused(run: Path, serve: Any) -> None:
    with serve(run) as running:
        reader = Reader(running)
        for host in (f"evil.example:{reader.port}", "127.0.0.1", f"127.0.0.1.evil:{reader.port}"):
            assert reader.get("/", Host=host).status == 403
            assert reader.get(f"/?token={'x' * 43}", Host=host).status == 403
        assert reader.get("/", Host=f"localhost:{reader.port}").status == 200


def test_every_answer_is_closed_to_other_sites_and_to_scripts(run: Path, serve: Any) -> None:
    with serve(run) as running:
        reader = Reader(running)
        for path in ("/", "/style.css", "/utterance?id=u1", audio_of("u1"), "/errors", "/nope"):
            reply = reader.get(path, Origin="http://evil.example")
            assert reply.getheader("Content-Security-Policy") == POLICY
            assert "script" not in POLICY
            assert reply.getheader("X-Content-Type-Options") == "nosniff"
            assert reply.getheader("Cross-Origin-Resource-Policy") == "same-origin"
            assert reply.getheader("Cache-Control") == "no-store"
            assert reply.getheader("Referrer-Policy") == "no-referrer"
            assert not [name for name, _ in reply.getheaders() if name.startswith("Access-Control")]


def test_only_reading_is_possible(run: Path, serve: Any) -> None:
    with serve(run) as running:
        reader = Reader(running)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "<script>"):
            reply = reader.get("/", method=method)
            assert reply.status in (400, 501)
            assert b"<script>" not in reply.body  # type: ignore[attr-defined]
        head = reader.get("/", method="HEAD")
        assert (head.status, head.body) == (200, b"")  # type: ignore[attr-defined]
        assert int(str(head.getheader("Content-Length"))) > 1000


def test_a_recording_is_served_whole_and_in_ranges(run: Path, runs: InProcess, serve: Any) -> None:
    rows = [
        row
        for path in sorted(runs.shards.glob("*.parquet"))
        for row in pq.read_table(path, columns=["utterance_id", "audio"]).to_pylist()
    ]
    stored = {row["utterance_id"]: row["audio"] for row in rows}
    with serve(run) as running:
        reader = Reader(running)
        for key in ("u0", "u7", HOSTILE_ID):
            whole = reader.get(audio_of(key))
            assert (whole.status, whole.body) == (200, stored[key])  # type: ignore[attr-defined]
            assert whole.getheader("Content-Type") == "audio/flac"
            assert whole.getheader("Accept-Ranges") == "bytes"
        size = len(stored["u7"])
        for wanted, kept in (("bytes=0-", slice(0, None)), ("bytes=100-199", slice(100, 200))):
            part = reader.get(audio_of("u7"), Range=wanted)
            assert part.status == 206
            assert part.body == stored["u7"][kept]  # type: ignore[attr-defined]
            first, last = kept.start, (kept.stop or size) - 1
            assert part.getheader("Content-Range") == f"bytes {first}-{last}/{size}"
        beyond = reader.get(audio_of("u7"), Range=f"bytes={size}-")
        assert (beyond.status, beyond.getheader("Content-Range")) == (416, f"bytes */{size}")


def test_a_container_that_browsers_do_not_play_is_decoded(
    run: Path, runs: InProcess, serve: Any, tmp_path: Path
) -> None:
    path = tmp_path / "x.aiff"
    soundfile.write(path, [0.1, -0.1] * 4000, 16_000, format="AIFF")

    def other(row: dict[str, Any]) -> None:
        row["audio"] = path.read_bytes()

    rewritten(next(iter(sorted(runs.shards.glob("*.parquet")))), other)
    with serve(run) as running:
        reader = Reader(running)
        reply = reader.get(audio_of("u0"))
        assert reply.getheader("Content-Type") == "audio/flac"
        assert reply.body.startswith(b"fLaC")  # type: ignore[attr-defined]
        assert "Played as mono FLAC" in reader.page("/utterance?id=u0")


def test_a_missing_shard_is_said_and_the_rest_is_shown(
    run: Path, runs: InProcess, serve: Any, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.move(runs.shards, moved)
    with serve(run) as running:
        reader = Reader(running)
        page = reader.page("/utterance?id=u3")
        assert "The recording is not at hand: the shard" in page
        assert "shard-000001.parquet is missing" in page
        for strategy in STRATEGIES:
            assert f"<h3>{strategy}</h3>" in page
        assert reader.get(audio_of("u3")).status == 404
    with serve(run, shards=str(moved)) as running:
        assert Reader(running).get(audio_of("u3")).status == 200


def test_a_clip_that_is_no_sound_has_its_error_on_its_page(run: Path, serve: Any) -> None:
    with serve(run) as running:
        reader = Reader(running)
        page = reader.page("/utterance?id=u8")
        assert "The recording is not at hand" in page
        assert "decode: not_audio" in page
        assert "No predictions of this utterance." in page
        assert 'href="/utterance?id=u8"' in reader.page("/errors")
        assert "There is no such page." in reader.page("/errors?page=2")
        reader.page("/errors?run=1", status=400)


def test_a_question_without_an_answer_is_told(run: Path, serve: Any) -> None:
    with serve(run) as running:
        page = Reader(running).page("/utterance?id=u2")
        assert "Questions without an answer" in page
        assert "<b>cot</b>" in page


def test_what_is_asked_wrongly_is_refused_in_words(run: Path, serve: Any) -> None:
    with serve(run) as running:
        reader = Reader(running)
        for path, status, words in (
            ("/?column=jss&is=is&value=1", 400, "there is no column &#39;jss&#39;"),
            ("/?column=js&is=above&value=x", 400, "holds numbers"),
            ("/?of=0/a/b/c", 400, "no run has predictions of"),
            ("/?sort=plurality", 400, "not sorted by"),
            ("/utterance?id=nobody", 404, "No table names an utterance"),
            ("/utterance", 404, "No table names an utterance"),
            ("/../../etc/passwd", 404, "There is no page"),
        ):
            assert words in reader.page(path, status)


def test_hostile_text_is_text_on_every_page(run: Path, serve: Any) -> None:
    with serve(run) as running:
        reader = Reader(running)
        hostile = quote(HOSTILE)
        for path in (
            "/",
            f"/utterance?id={quote(HOSTILE_ID)}",
            f"/?search={hostile}",
            f"/?column=plurality&is=is&value={hostile}",
            f"/?column={quote('facts.' + HOSTILE)}&is=contains&value={hostile}",
        ):
            page = reader.page(path)
            assert "<script" not in page
            assert "<img" not in page
            # What a form sends back is as it came; a reader does not see it.
            page = re.sub(r'<(option|input)[^>]* value="[^"]*"', "", page)
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", page)
        assert page.count("&lt;script&gt;") > 1
        page = reader.page(f"/utterance?id={quote(HOSTILE_ID)}")
        assert page.count(r"\x1b[31mred\x07") >= 8, "transcript, context, votes, facts, answers"
        assert r"\u202eesrever" in page
        for path in (f"/{hostile}", f"/utterance?id={hostile}", f"/?sort={hostile}"):
            assert "<script" not in reader.page(path, 404 if "sort" not in path else 400)


def test_two_runs_stand_side_by_side(run: Path, runs: InProcess, serve: Any) -> None:
    other = finish(runs, "second", decoding={"beam_count": 5})
    with serve(run, other) as running:
        reader = Reader(running)
        page = reader.page("/?sort=bc&side=difference")
        assert "Second \N{MINUS SIGN} first" in page
        assert f"Second: greedy · {other}" in page
        page = reader.page("/utterance?id=u1")
        assert f"What each strategy says: {run}" in page
        assert f"What each strategy says: {other}" in page
        assert page.count("<h3>greedy</h3>") == 2


def test_a_run_in_object_storage_is_looked_into(
    runs: InProcess, run: Path, s3: Any, serve: Any
) -> None:
    bucket = s3.new_bucket()
    for root, prefix in ((run, "run"), (runs.shards, "shards")):
        for path in root.rglob("*"):
            if path.is_file():
                key = f"{prefix}/{path.relative_to(root)}"
                s3.client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    shutil.rmtree(runs.shards)
    with serve(f"s3://{bucket}/run", shards=f"s3://{bucket}/shards") as running:
        reader = Reader(running)
        assert 'href="/utterance?id=u3' in reader.page("/")
        page = reader.page(f"/utterance?id={quote(HOSTILE_ID)}")
        assert "<audio" in page
        assert reader.get(audio_of("u4"), Range="bytes=0-3").body == b"fLaC"  # type: ignore[attr-defined]
        for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
            assert os.environ[name] not in page
        s3.client.delete_object(Bucket=bucket, Key="shards/shard-000001.parquet")
        assert "not at hand: the shard s3://" in reader.page("/utterance?id=u5")


def test_a_port_that_is_taken_is_refused(run: Path, serve: Any) -> None:
    with serve(run) as running, pytest.raises(ConfigError, match=f"port {running.port}"):  # noqa: SIM117
        with serve(run, port=running.port):
            pass


def test_the_command_prints_an_address_and_ends_with_one_line(run: Path) -> None:
    root = Path(__file__).parents[3]
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "AWS_SECRET_ACCESS_KEY": "not-to-be-seen",
        "AWS_ACCESS_KEY_ID": "nor-this",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "raypipe", "view", str(run)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has its children ignore Ctrl-C.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().removeprefix("Open ").strip()
        parts = urlsplit(address)
        assert parts.hostname == "127.0.0.1"
        connection = http.client.HTTPConnection(str(parts.netloc), timeout=30)
        connection.request("GET", f"{parts.path}?{parts.query}")
        reply = connection.getresponse()
        assert (reply.status, reply.read()) == (303, b"")
        connection.close()
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    assert out.splitlines()[-1] == "The view has ended."
    assert errors == ""
    assert "not-to-be-seen" not in out
