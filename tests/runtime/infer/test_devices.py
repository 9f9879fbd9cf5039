"""This machine's GPUs, as a program that stands in for torch tells them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raypipe.errors import ConfigError
from raypipe.runtime.infer import devices as module
from raypipe.runtime.infer.devices import NO_GPUS, Devices, devices, local_devices


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
    assert devices() == NO_GPUS


@pytest.mark.usefixtures("driver")
def test_the_smallest_of_several_gpus_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_says(monkeypatch, gpus=[["H200", 150 << 30], ["A10", 24 << 30]])
    assert devices() == Devices(2, "A10", 24 << 30)


@pytest.mark.usefixtures("driver")
def test_a_torch_without_cuda_uses_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_says(monkeypatch, torch="2.13.0+cpu", cuda=None)
    assert local_devices() == NO_GPUS


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
    assert local_devices() == NO_GPUS


@pytest.mark.usefixtures("driver")
def test_a_torch_that_cannot_be_imported_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ASK_TORCH", "import no_such_torch")
    with pytest.raises(ConfigError, match="No module named 'no_such_torch'"):
        local_devices()


@pytest.mark.usefixtures("driver")
def test_the_real_question_can_be_put() -> None:
    """Without a GPU torch answers that there is none; with one, which."""
    found = local_devices()
    assert (found.gpus > 0) == (found.memory is not None)
