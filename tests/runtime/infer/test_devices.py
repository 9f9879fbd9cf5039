"""This machine's GPUs, as a program that stands in for torch tells them."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY

import pytest
import ray

from raypipe.errors import ConfigError
from raypipe.runtime.infer import devices as module
from raypipe.runtime.infer.devices import NO_GPUS, Devices, devices, local_devices
from raypipe.runtime.ray import session

NOTHING_BUT_MEMORY = Devices(host_memory=ANY)


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with a GPU's driver."""
    monkeypatch.setattr(module, "_DRIVER", tmp_path)


def torch_says(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
    told = {"torch": "2.13.0+cu130", "cuda": "13.0", "why": "", "gpus": []} | facts
    monkeypatch.setattr(module, "_ASK_TORCH", f"print({json.dumps(json.dumps(told))})")


def test_a_machine_without_a_driver_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module, "_DRIVER", tmp_path / "none")
    monkeypatch.setattr(module, "_ASK_TORCH", "raise SystemExit(3)")
    assert devices() == NOTHING_BUT_MEMORY


@pytest.mark.usefixtures("driver")
def test_the_smallest_of_several_gpus_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_says(monkeypatch, gpus=[["H200", 150 << 30], ["A10", 24 << 30]])
    assert devices() == Devices(2, "A10", 24 << 30, ANY)


@pytest.mark.usefixtures("driver")
def test_a_torch_without_cuda_uses_no_gpu_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    torch_says(monkeypatch, torch="2.13.0+cpu", cuda=None)
    assert local_devices() == NOTHING_BUT_MEMORY
    assert "torch 2.13.0+cpu is built without CUDA" in caplog.text


@pytest.mark.usefixtures("driver")
def test_a_driver_that_is_too_old_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    why = "The NVIDIA driver on your system is too old (found version 11040)."
    torch_says(monkeypatch, why=why)
    with pytest.raises(
        ConfigError, match=r"CUDA 13\.0, cannot use .*too old.*driver, or set"
    ) as it:
        local_devices()
    assert "\n" not in str(it.value)
    # Hidden on purpose, it is not missed.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert local_devices() == NOTHING_BUT_MEMORY


@pytest.mark.usefixtures("driver")
def test_a_torch_that_cannot_be_imported_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ASK_TORCH", "import no_such_torch")
    with pytest.raises(ConfigError, match="No module named 'no_such_torch'"):
        local_devices()


class Cluster:
    """As much of Ray as the probe uses, with a node that answers."""

    def __init__(self, answer: Devices) -> None:
        self.answer, self.asked = answer, {}

    def remote(self, **options: float) -> Any:
        self.asked = options
        return lambda function: SimpleNamespace(remote=lambda: self.answer)

    def get(self, answer: Devices) -> Devices:
        return answer


def on_cluster(monkeypatch: pytest.MonkeyPatch, gpus: int, answer: Devices) -> Cluster:
    cluster = Cluster(answer)
    monkeypatch.setattr(ray, "remote", cluster.remote)
    monkeypatch.setattr(ray, "get", cluster.get)
    monkeypatch.setattr(session, "possible_resources", lambda: {"GPU": gpus} if gpus else {})
    monkeypatch.setattr(session, "ray_session", nullcontext)
    return cluster


def test_a_cluster_s_gpus_are_told_by_one_of_its_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = on_cluster(monkeypatch, 8, Devices(2, "H200", 150 << 30))
    assert devices("auto") == Devices(8, "H200", 150 << 30)
    assert 0 < cluster.asked["num_gpus"] < 0.1
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert devices() == Devices(8, "H200", 150 << 30)
    assert on_cluster(monkeypatch, 0, NO_GPUS).asked == {}
    assert devices() == NO_GPUS


def test_gpus_that_torch_cannot_use_are_no_reason_to_run_on_cpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_cluster(monkeypatch, 8, NO_GPUS)
    with pytest.raises(ConfigError, match="GPUs that torch on its nodes cannot use"):
        devices("auto")


@pytest.mark.usefixtures("driver")
def test_the_real_question_can_be_put() -> None:
    """Without a GPU torch answers that there is none; with one, which."""
    found = local_devices()
    assert (found.gpus > 0) == (found.memory is not None)
