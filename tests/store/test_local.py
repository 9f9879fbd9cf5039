"""What only files can go through: kills, full and closed disks, leftovers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raypipe.errors import StoreError
from raypipe.store import local
from raypipe.store.location import Location

WRITER = """
import sys
from raypipe.store.local import LocalObjects
place = LocalObjects(sys.argv[1])
number = 0
while True:
    place.create(f"{number}.parquet", b"x" * 4_000_000, {})
    number += 1
"""


def test_a_killed_writer_leaves_no_partial_object_and_no_litter(tmp_path: Path) -> None:
    place = Location.parse(str(tmp_path))
    for wait_s in (0.0, 0.01, 0.03, 0.1):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)])
        deadline = time.monotonic() + 60
        while not any(tmp_path.iterdir()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for name in place.list(""):
            assert len(place.read(name)) == 4_000_000
        place.probe_conditional_writes()
        assert {path.name for path in tmp_path.iterdir()} == set(place.list(""))
        for path in tmp_path.iterdir():
            path.unlink()


def test_living_writers_keep_their_temporary_files(tmp_path: Path) -> None:
    place = Location.parse(str(tmp_path))
    with local._flushed_file(tmp_path, b"being written") as temporary:
        place.probe_conditional_writes()
        assert temporary.read_bytes() == b"being written"
        assert place.list("") == []


def test_a_link_whose_reply_was_lost_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def lose_reply(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)  # the client of a network file system asks again

    monkeypatch.setattr(os, "link", lose_reply)
    assert Location.parse(str(tmp_path)).create("a", b"1")


def test_a_file_system_without_exclusive_links_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", os.replace)
    with pytest.raises(StoreError, match="twice"):
        Location.parse(str(tmp_path)).probe_conditional_writes()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def open_full(path: Path, mode: str = "r") -> object:
        return opened(Path("/dev/full"), "wb") if mode == "xb" else opened(path, mode)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(StoreError, match=r"cannot write .*shard\.parquet: No space left"):
        Location.parse(str(tmp_path)).write("shard.parquet", b"x")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    place = Location.parse(str(tmp_path / "file"))
    with pytest.raises(StoreError, match="cannot write"):
        place.write("a", b"1")
    with pytest.raises(StoreError, match="cannot list"):
        place.list()


def test_a_link_that_leads_nowhere_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").symlink_to(tmp_path / "none")
    assert Location.parse(str(tmp_path)).sizes() == {"a": 3}


def test_what_has_no_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    place = Location.parse(str(tmp_path))
    for name in ("pipe.wav", "zero.wav"):
        for read in (place.read, place.open, place.size):
            with pytest.raises(StoreError, match=rf"{name} is neither a file nor a folder$"):
                read(name)
