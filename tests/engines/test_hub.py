"""What the hub answers, as one line: asked over HTTP, of a server on the loopback interface."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import Hub, hub_server

from raypipe.engines.hub import is_hub_id
from raypipe.tiny_alm import checkpoint_path

# In a process of its own, as the place of the hub is read from the environment once.
CHILD = """
import json, sys
from raypipe.engines.checkpoint_faults import checkpoint_faults
from raypipe.engines.checkpoint_files import weight_bytes
from raypipe.engines.engine import ModelSettings
for line in sys.stdin:
    path, revision, weigh = json.loads(line)
    settings = ModelSettings(path, None, revision, "auto", "auto", trust_remote_code=False)
    told = weight_bytes(path, revision) if weigh else [*checkpoint_faults(settings, "transformers")]
    print(json.dumps(told), flush=True)
print(json.dumps([name for name in ("ray", "torch", "transformers") if name in sys.modules]))
"""

Ask = Callable[..., list[str]]
NAME = "somebody/tiny-alm"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_server() as hub:
        hub.folders[NAME] = checkpoint_path()
        yield hub


class Asking:
    """A process that tells the faults of checkpoints; nothing is in its cache at first."""

    def __init__(self, home: Path, url: str, **environment: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        self._child = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            env=kept | {"HF_HOME": str(home), "HF_ENDPOINT": url} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, path: str = NAME, revision: str | None = None) -> list[str]:
        told: list[str] = json.loads(self._put(path, revision, False))
        return told

    def bytes_of_weights(self, path: str = NAME) -> int:
        return int(self._put(path, None, True))

    def close(self) -> list[str]:
        """Heavy packages that the process has imported by its end."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        heavy: list[str] = json.loads(self._child.stdout.readline())
        assert self._child.wait(20) == 0
        self._child.stdout.close()
        return heavy

    def _put(self, path: str, revision: str | None, weigh: bool) -> str:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps([path, revision, weigh]) + "\n")
        self._child.stdin.flush()
        return self._child.stdout.readline()


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Callable[..., Asking]]:
    started: list[Asking] = []

    def start(url: str, home: str = "home", **environment: str) -> Asking:
        started.append(Asking(tmp_path / home, url, **environment))
        return started[-1]

    yield start
    for child in started:
        assert child.close() == []


def test_what_the_hub_refuses_is_one_line_with_what_to_do(
    hub: Hub, asking: Callable[..., Asking]
) -> None:
    hub.folders["somebody/gated"] = hub.folders["somebody/private"] = checkpoint_path()
    hub.gated.add("somebody/gated")
    hub.private.add("somebody/private")
    ask = asking(hub.url)
    accept = f"gated: accept its licence at {hub.url}/somebody/gated and set HF_TOKEN"
    not_found = "no such folder here, and not found on the hub: "
    assert ask() == []
    assert ask.bytes_of_weights() == (checkpoint_path() / "model.safetensors").stat().st_size
    assert ask("somebody/gated") == [accept]
    assert ask("somebody/private") == [f"{not_found}check the spelling. If private, set HF_TOKEN"]
    meant = "Qwen/Qwen2-Audio-7B-Instruct"
    assert ask("Qwen/Qwen2-Audio-7B-Instuct") == [
        f"{not_found}did you mean {meant}? If private, set HF_TOKEN"
    ]
    assert ask(revision="v9") == ["its revision is not found on the hub; correct model.revision"]
    hub.status = 503
    [down] = ask("somebody/else")
    assert down == f"the hub ({hub.url}) answers with status 503; try again later"


def test_a_token_opens_what_it_may_and_is_never_shown(
    hub: Hub, asking: Callable[..., Asking]
) -> None:
    hub.gated.add(NAME)
    hub.folders["somebody/private"] = checkpoint_path()
    hub.private.add("somebody/private")
    right = asking(hub.url, HF_TOKEN="hf_right")
    wrong = asking(hub.url, "another home", HF_TOKEN="hf_wrong")
    assert right() == right("somebody/private") == []
    told = [*wrong("somebody/private"), *wrong("somebody/missing")]
    hub.gated.add("somebody/gated")
    hub.folders["somebody/gated"] = checkpoint_path()
    told += wrong("somebody/gated")
    assert "HF_TOKEN of that account" in told[-1]
    assert all("Is HF_TOKEN one that may read it?" in line for line in told[:2])
    assert not any("hf_wrong" in line for line in told)


def test_files_that_a_repository_lacks_are_named(
    hub: Hub, asking: Callable[..., Asking], tmp_path: Path
) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    for file in checkpoint_path().iterdir():
        if file.suffix in (".json", ".jinja"):
            (pickled / file.name).write_bytes(file.read_bytes())
    (pickled / "pytorch_model.bin").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    hub.folders |= {"somebody/pickled": pickled, "somebody/empty": tmp_path / "empty"}
    ask = asking(hub.url)
    [pickles] = ask("somebody/pickled")
    assert pickles.startswith("pickle weights (pytorch_model.bin) are refused")
    [nothing] = ask("somebody/empty")
    assert nothing.startswith("no config.json in its repository on the hub")


def test_without_a_network_the_cache_is_taken_or_one_line_says_what_is_missing(
    hub: Hub, asking: Callable[..., Asking]
) -> None:
    dead = "http://127.0.0.1:9"
    nobody = asking(dead)
    started = time.monotonic()
    [line] = nobody()
    assert line.startswith(f"no such folder here, and no network: {dead} does not answer")
    assert time.monotonic() - started < 5
    [line] = asking("http://me:PASS@127.0.0.1:9")()
    assert "no network: http://***@127.0.0.1:9 does not answer" in line
    assert "PASS" not in line
    [line] = asking(hub.url, HF_HUB_OFFLINE="1")()
    assert "HF_HUB_OFFLINE forbids to ask the hub; fetch it once without" in line
    assert hub.requests == []
    assert asking(hub.url)() == []  # fetches small files
    for offline in (nobody, asking(dead, HF_HUB_OFFLINE="1")):
        *_, line = offline()
        assert line.startswith("no weights (*.safetensors) in the cache (")
        assert line.endswith("), and the hub cannot be asked")


def test_a_portal_in_the_place_of_the_hub_is_told(hub: Hub, asking: Callable[..., Asking]) -> None:
    hub.portal = b"<html>Please log in</html>"
    [line] = asking(hub.url)()
    assert line == f"{hub.url} answers, but not as the hub does: is it a proxy, or a portal?"


def test_a_hub_that_keeps_silent_is_not_waited_for(hub: Hub, asking: Callable[..., Asking]) -> None:
    hub.silent_s = 20
    ask = asking(hub.url)
    assert ask("./nowhere") == ["no such folder"]  # the process is there
    started = time.monotonic()
    [line] = ask()
    assert line.startswith("no such folder here, and no network")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "path", ["./here", "/there", "~/home", "a/b/c", "s3://bucket/x", "a\\b", "", "a--b/c"]
)
def test_what_cannot_be_a_hub_id_is_not_asked_for(path: str) -> None:
    assert not is_hub_id(path)
