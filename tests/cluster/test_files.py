"""What goes into a ConfigMap, and what does not."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from raypipe.cluster.files import FileSet, read_files
from raypipe.errors import ConfigError


def test_texts_and_other_bytes_are_kept_apart_and_whole(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "a.jinja").write_text("é\n", encoding="utf-8")
    (tmp_path / "clip.flac").write_bytes(b"fLaC\xff\x00")
    files = read_files(tmp_path, ["prompts/a.jinja", "clip.flac"])
    assert files.texts == {"prompts__a.jinja": "é\n"}
    assert base64.b64decode(files.binaries["clip.flac"]) == b"fLaC\xff\x00"
    assert files.keys == {"prompts/a.jinja": "prompts__a.jinja", "clip.flac": "clip.flac"}


def test_the_digest_depends_on_names_and_contents_and_not_on_the_order() -> None:
    one = FileSet({"a": b"1", "b": b"2"})
    assert one.digest == FileSet({"b": b"2", "a": b"1"}).digest
    others = [{"a": b"1", "b": b"3"}, {"a": b"12", "b": b""}, {"a": b"1"}, {"a": b"1", "c": b"2"}]
    assert len({one.digest, *(FileSet(other).digest for other in others)}) == 5


def test_what_is_larger_than_a_config_map_is_named_with_its_size(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x")
    (tmp_path / "large").write_bytes(b"x" * ((1 << 20) - len("large")))
    assert read_files(tmp_path, ["large"]).contents.keys() == {"large"}
    with pytest.raises(ConfigError, match=r"^files: 1048582 bytes.*large has 1048571.*working_dir"):
        read_files(tmp_path, ["large", "small"])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../secret", "no path below"),
        ("a/../../secret", "no path below"),
        ("/etc/passwd", "no path below"),
        ("./a", "no path below"),
        ("", "no path below"),
        ("a b", "letters, digits"),
        ("a\nb", "letters, digits"),
        ("é", "letters, digits"),
        ("link", "link out of"),
        ("missing", "cannot be read: No such file"),
        ("folder", "cannot be read: Is a directory"),
    ],
)
def test_a_path_that_is_none_is_refused(path: str, message: str, tmp_path: Path) -> None:
    folder = tmp_path / "values"
    (folder / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_text("x")
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ConfigError, match=message):
        read_files(folder, [path])


def test_two_files_that_would_have_one_key_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("1")
    (tmp_path / "a__b").write_text("2")
    with pytest.raises(ConfigError, match="another file has the key 'a__b'"):
        read_files(tmp_path, ["a/b", "a__b"])
