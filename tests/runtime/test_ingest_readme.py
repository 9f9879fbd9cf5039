"""Every command in the README of the corpora is run, on miniatures of what it names."""

from __future__ import annotations

import io
import json
import re
import shlex
import tarfile
from pathlib import Path

import pytest
from corpus_folder import CLIP, CorpusFolder
from corpus_miniatures import MINIATURES
from typer.testing import CliRunner

import raypipe.corpora
from raypipe.cli import app
from raypipe.shards import read_index
from raypipe.store.location import Location

TEXT = (Path(raypipe.corpora.__file__).parent / "README.md").read_text(encoding="utf-8")
FOLDERS = {"CREMA-D": "crema-d", "IEMOCAP_full_release": "iemocap"}


def commands() -> list[list[str]]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, flags=re.M | re.S)
    blocks = [text for language, text in fenced if not language]
    lines = [line.split("  #")[0] for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines]


def tar_file(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds what the commands name."""
    for folder, corpus in FOLDERS.items():
        MINIATURES[corpus].write(CorpusFolder(tmp_path / folder))
    line = re.search(r"```json\n(.*?)\n```", TEXT, re.S)
    assert line is not None
    (tmp_path / "clips.jsonl").write_text(line[1])
    (tmp_path / json.loads(line[1])["audio"]).write_bytes(CLIP)
    for number, label in enumerate(("anger", "surprise")):
        members = {f"u{number}.wav": CLIP, f"u{number}.cls": label.encode()}
        tar_file(tmp_path / f"train-{number:03d}.tar", members)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_do_what_the_readme_says(sources: Path, ray_cluster: None) -> None:
    assert len(commands()) == 7
    for program, *arguments in commands():
        assert program == "raypipe"
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, (arguments, result.output, result.exception)
    written = {path.parent.name for path in sources.glob("shards/*/shards.json")}
    assert written == {"mine", "crema-d", "iemocap", "web"}
    for name in written:
        index = read_index(Location.parse(str(sources / "shards" / name)))
        assert index.rows + index.excluded > 0
        assert index.failures == 0, name
    assert (sources / "looks" / "inspect.html").exists()
