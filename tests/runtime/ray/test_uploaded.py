"""Where Ray keeps what is submitted, and every other place."""

from __future__ import annotations

from pathlib import Path

import pytest

from raypipe.errors import ConfigError
from raypipe.runtime.ray.uploaded import refuse_uploaded_folder


@pytest.fixture
def submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working directory of a job that was submitted with its folder."""
    folder = tmp_path / "session_1" / "runtime_resources" / "working_dir_files" / "_ray_pkg_1"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def test_what_lies_in_the_submitted_folder_is_refused(submitted: Path) -> None:
    for output in ("runs/mine", ".", str(submitted / "out"), "x/../y"):
        with pytest.raises(ConfigError) as refused:
            refuse_uploaded_folder(output)
        assert str(refused.value).startswith(f"output {output!r} lies in Ray's copy")


def test_everything_else_is_let_go(submitted: Path, tmp_path: Path) -> None:
    for output in ("/data/runs", "s3://bucket/runs", str(tmp_path / "runtime_resources" / "x")):
        refuse_uploaded_folder(output)


def test_a_relative_path_elsewhere_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refuse_uploaded_folder("runs/mine")
