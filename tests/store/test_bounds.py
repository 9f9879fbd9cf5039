"""What lies below a folder, links included."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from raypipe.errors import ObjectMissingError, OutsideError
from raypipe.store.bounds import Bounds
from raypipe.store.location import Location


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"a")
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "inside.wav").symlink_to(folder / "a.wav")
    (folder / "outside.wav").symlink_to(tmp_path / "secret")
    (folder / "twice.wav").symlink_to(folder / "outside.wav")
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop.wav").symlink_to(folder / "pool.wav")
    (folder / "pool.wav").symlink_to(folder / "loop.wav")
    (folder / "round").symlink_to(folder)
    return folder


def test_links_out_are_refused_by_name(corpus: Path) -> None:
    place = pickle.loads(pickle.dumps(Location.parse(str(corpus)).confined()))
    assert place.read("a.wav") == place.read("inside.wav") == b"a"
    for name in ("outside.wav", "twice.wav", "up/secret"):
        for act in (place.read, place.open, place.size, place.digest):
            with pytest.raises(OutsideError, match=rf"corpus/{name} leads to .*/secret, which is"):
                act(name)
    assert Location.parse(str(corpus)).read("outside.wav") == b"secret"


def test_a_place_below_is_confined_to_the_same_folder(corpus: Path) -> None:
    (corpus / "below").mkdir()
    (corpus / "below" / "b.wav").symlink_to(corpus / "a.wav")
    (corpus / "below" / "c.wav").symlink_to(corpus.parent / "secret")
    below = Location.parse(str(corpus)).confined().child("below")
    assert below.read("b.wav") == b"a"
    with pytest.raises(OutsideError):
        below.read("c.wav")


def test_a_listing_ends_and_knows_links_out(corpus: Path) -> None:
    sizes = Location.parse(str(corpus)).confined().sizes()
    assert {*sizes} == {"a.wav", "inside.wav", "outside.wav", "twice.wav"}
    with pytest.raises(ObjectMissingError, match="symbolic links"):
        Location.parse(str(corpus)).read("loop.wav")


def test_further_folders_may_be_named(corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.wav").write_bytes(b"b")
    (corpus / "b.wav").symlink_to(other / "b.wav")
    with pytest.raises(OutsideError, match="--allow"):
        Location.parse(str(corpus)).confined().read("b.wav")
    allowed = [Location.parse(str(other)), Location.parse("s3://bucket/x", "http://127.0.0.1:9")]
    assert Location.parse(str(corpus)).confined(allowed).read("b.wav") == b"b"


def test_the_cache_of_the_hub_is_one_folder(tmp_path: Path) -> None:
    repository = tmp_path / "datasets--org--name"
    snapshot = repository / "snapshots" / "abc"
    (snapshot / "data").mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "blobs" / "1f").write_bytes(b"x")
    (repository / "secret").write_bytes(b"s")
    (snapshot / "data" / "a.wav").symlink_to("../../../blobs/1f")
    (snapshot / "b.wav").symlink_to("../../secret")
    (repository / "blobs" / "2f").symlink_to(repository / "secret")
    (snapshot / "c.wav").symlink_to("../../blobs/2f")
    for root in (snapshot, snapshot / "data"):
        bounds = Bounds([str(root)])
        assert bounds.real_path(snapshot / "data" / "a.wav") == str(repository / "blobs" / "1f")
        for name in ("b.wav", "c.wav"):
            with pytest.raises(OutsideError):
                bounds.real_path(snapshot / name)


def test_a_name_that_only_begins_alike_is_outside(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    with pytest.raises(OutsideError):
        Bounds([str(tmp_path / "corpus")]).real_path(tmp_path / "corpus-2" / "a")
    assert Bounds(["/"]).real_path("/etc") == "/etc"
