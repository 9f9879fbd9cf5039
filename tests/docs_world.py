"""A folder with everything that the READMEs speak of, and how what they show is executed in it."""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tarfile
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from glob import glob
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main
import yaml
from chat_server import ChatServer, Script, text_of
from corpus_folder import CorpusFolder
from corpus_miniatures import MINIATURES
from markdown_blocks import ROOT, Block, blocks
from typer.testing import CliRunner

from raypipe.cli import app
from raypipe.cluster import ClusterValues
from raypipe.config import checked, parse_config
from raypipe.explain.export.config import ExportConfig
from raypipe.runtime.classify.config import ClassifyConfig
from raypipe.runtime.features.config import FeaturesConfig
from raypipe.runtime.finetune.config import FinetuneConfig
from raypipe.runtime.heads.config import HeadsConfig
from raypipe.runtime.ingest.config import IngestConfig
from raypipe.runtime.judge.config import JudgeConfig
from raypipe.runtime.rationale.config import RationaleConfig
from raypipe.runtime.relabel.config import RelabelConfig
from raypipe.store.location import Location
from raypipe.store.query import query
from raypipe.tiny_alm.corpus import synthetic_utterances

CLIPS = 8
BUCKET = "bucket"
TARS = 4
HUB = "Qwen/"
# Any variable that Ray's workers have, whenever Ray was started; the server takes every key.
_KEY_VARIABLE = "HOME"
# Of whichever click typer brings.
USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]
# How much of an example is run: what it shows is that it runs.
_SMALL: dict[str, dict[str, Any]] = {
    "input": {"limit": 3},
    "metrics": {"replicates": 100},
    "resources": {"cpus_per_actor": 0},  # a test machine has two
}


def fill_folder(folder: Path) -> None:
    """Clips with the manifest whose first line the front page shows, tar files, small corpora."""
    [shown] = [block for block in blocks("README.md") if block.file == "clips.jsonl"]
    example = json.loads(shown.text)
    rows = [example]
    for number, clip in enumerate(synthetic_utterances(CLIPS, seed=11), start=1):
        name = f"a{number}"
        (folder / f"{name}.wav").write_bytes(clip.audio)
        if number > 1:
            votes = [vote.labels[0] for vote in clip.votes]
            own = {"id": name, "audio": f"{name}.wav", "votes": votes}
            own |= {"speaker": f"s{(number + 1) // 2}", "gender": ("female", "male")[number % 2]}
            rows.append({**example, **own})
    (folder / "clips.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    for number in range(TARS):
        with tarfile.open(folder / f"train-{number:03d}.tar", mode="w") as tar:
            audio = (folder / f"a{number + 1}.wav").read_bytes()
            for suffix, data in (("wav", audio), ("json", b'{"votes": ["anger"]}')):
                member = tarfile.TarInfo(f"t{number}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    MINIATURES["crema-d"].write(CorpusFolder(folder / "CREMA-D"))
    MINIATURES["iemocap"].write(CorpusFolder(folder / "IEMOCAP_full_release"))


def fill_bucket(client: Any, folder: Path) -> None:
    """The bucket that the pages name, with the folder's tar files."""
    if BUCKET in {known["Name"] for known in client.list_buckets()["Buckets"]}:
        return
    client.create_bucket(Bucket=BUCKET)
    for path in folder.glob("train-*.tar"):
        client.put_object(Bucket=BUCKET, Key=path.name, Body=path.read_bytes())


def answers_verifiers(server: Callable[[], ChatServer]) -> Script:
    """A script for the chat server: a score for every candidate, its own answers otherwise."""

    def script(body: dict[str, Any]) -> tuple[int, dict[str, str], Any] | None:
        if "Candidate answer" not in text_of(body):
            return None
        asked = {**body, "messages": [{"role": "user", "content": "Emotions: anger.\n"}]}
        reply = ChatServer.reply(server(), asked)
        for choice in reply["choices"]:
            choice["message"]["content"] = "0.7"
        return 200, {}, reply

    return script


@dataclass(frozen=True)
class World:
    """A working folder, and a server in the place of every endpoint.

    Attributes:
        folder: the working directory of what is executed.
        endpoint: URL of a server of chat completions.
        document: of the run that partial configs change.
        numbers: that stand in blocks, by what is put in their place.
        servers: that blocks started with ``&``.
    """

    folder: Path
    endpoint: str
    document: Mapping[str, Any]
    numbers: Mapping[str, str] = field(default_factory=dict)
    servers: list[subprocess.Popen[str]] = field(default_factory=list)

    def execute(self, block: Block) -> None:
        """Do what a block shows; the process is in the folder."""
        block = replace(block, text=self._with_numbers(block.text))
        if block.file is not None:
            target = self.folder / block.file
            if not target.exists():
                target.write_text(block.text, encoding="utf-8")
        if block.language == "":
            for command in block.commands():
                self._command(command, block.where)
        elif block.language == "yaml":
            self._config(block)
        elif block.language == "json":
            for line in block.text.splitlines():
                json.loads(line)
        elif block.language == "python":
            # A module of its own: dataclasses look theirs up by its name.
            module = types.ModuleType("__docs__")
            sys.modules[module.__name__] = module
            exec(compile(block.text, block.where, "exec"), vars(module))
        elif block.language == "sql":
            query(Location.parse("runs/mine"), block.text)
        elif block.language == "jinja":
            assert block.file is not None, f"{block.where}: a template needs a name"
        else:
            assert block.language == "text", f"{block.where}: nothing runs {block.language}"

    def stop_servers(self) -> None:
        """End what blocks started with ``&``."""
        for server in self.servers:
            server.terminate()
            server.communicate(timeout=60)

    def _with_numbers(self, text: str) -> str:
        return re.sub(r"\b\d+\b", lambda number: self.numbers.get(number[0], number[0]), text)

    def _command(self, words: list[str], where: str) -> None:
        said = f"{where}: {shlex.join(words)}"
        if words[-1] == "&":
            self._serve(words[:-1], said)
            return
        # As a shell does: a word that no path matches, such as SQL's count(*), stays.
        words = [path for word in words for path in sorted(glob(word)) or [word]]
        if words[:3] == ["ray", "job", "submit"]:
            # A cluster takes the rest of the line; here it joins the Ray of this process.
            assert words[3:6] == ["--working-dir", ".", "--"], said
            self._job(words[6:], said)
        elif words[0] == "raypipe":
            shown = CliRunner().invoke(app, words[1:])
            assert shown.exit_code == 0, f"{said}\n{shown.output}\n{shown.exception!r}"
        elif words[0] == "pytest":
            # The test suite is what runs this; the folders must be there.
            assert all((ROOT / word).exists() for word in words[1:]), said
        elif words[:2] == ["python", "-m"]:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            command = [sys.executable, *words[1:]]
            done = subprocess.run(command, env=environment, capture_output=True, check=False)
            assert done.returncode == 0, f"{said}\n{done.stderr.decode()}"
        else:
            raise AssertionError(f"{said}: say why it is not run")

    def _serve(self, words: list[str], said: str) -> None:
        """Start a server, which says when it listens."""
        assert words[:2] == ["python", "-m"], said
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, *words[1:]]
        server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        self.servers.append(server)
        assert server.stdout is not None
        assert server.stdout.readline(), f"{said}: it did not start"

    def _job(self, words: list[str], said: str) -> None:
        assert words[0] == "python", said
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", words[1:])
            with pytest.raises(SystemExit) as end:
                runpy.run_path(str(ROOT / words[1]), run_name="__main__")
        assert end.value.code == 0, said

    def _config(self, block: Block) -> None:
        """Check a config; run one that shows only what differs from the front page's."""
        document = check_config(block, self.document)
        if block.file is None and document is not None:
            small = self._runnable({**document, "output": f"runs/line-{block.line}"})
            for section, values in _SMALL.items():
                small[section] = {**small.get(section, {}), **values}
            if "model" in small.get("verifier", {}):
                small["verifier"]["resources"] = _SMALL["resources"]
            config = self.folder / f"line-{block.line}.yaml"
            config.write_text(yaml.safe_dump(small))
            self._command(["raypipe", "run", config.name], block.where)

    def _runnable(self, value: Any) -> Any:
        """The same config with the server here for endpoints, the bundled model for a hub's."""
        if isinstance(value, list):
            return [self._runnable(entry) for entry in value]
        if not isinstance(value, dict):
            return value
        changed = {key: self._runnable(entry) for key, entry in value.items()}
        if "api" in changed:
            here = {"base_url": self.endpoint, "key_variable": _KEY_VARIABLE, "first_wait_s": 0.01}
            changed["api"] = {**changed["api"], **here}
        elif str(changed.get("path", "")).startswith(HUB):
            changed = {"path": "tiny-alm", "name": changed["path"].removeprefix(HUB)}
        return changed


def check_config(block: Block, run: Mapping[str, Any]) -> dict[str, Any] | None:
    """The whole config of a run that a block stands for; None if it is another job's config.

    Args:
        block: of YAML.
        run: the config that a block with some sections only changes.
    """
    shown = yaml.safe_load(block.text)
    if {"corpus", "source", "output"} <= set(shown):
        checked(IngestConfig, shown, block.where)
        return None
    if {"image", "head"} <= set(shown):
        checked(ClusterValues, shown, block.where)
        return None
    for key, config in (
        ("encoders", FeaturesConfig),
        ("features", HeadsConfig),
        ("items_per_request", RelabelConfig),
        ("second", JudgeConfig),
        ("systems", ClassifyConfig),
        ("splits", RationaleConfig),
        ("corpora", ExportConfig),
        ("preset", FinetuneConfig),
    ):
        if {key, "output"} <= set(shown):
            checked(config, shown, block.where)
            return None
    whole = shown if {"input", "output"} <= set(shown) else {**run, **shown}
    for many, single in (("models", "model"), ("prompts", "prompt")):
        if many in shown:
            whole.pop(single, None)
    parse_config(whole, block.where)
    return whole


def check_command(words: list[str], where: str) -> None:
    """Refuse a ``raypipe`` command whose sub-command, options or values there are not."""
    assert words[0] == "raypipe", where
    group = typer.main.get_command(app)
    command = group.commands.get(words[1])
    assert command is not None, f"{where}: there is no raypipe {words[1]}"
    rest = [word for word in words[2:] if word != "--help"]
    try:
        if rest:
            command.make_context(words[1], rest)
    except USAGE_ERROR as error:
        raise AssertionError(f"{where}: {shlex.join(words)}: {error}") from error
