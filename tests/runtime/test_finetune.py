"""Fine-tuning through Ray Train: two workers, a kill, the adapter in a run, what is refused."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from spoken_export import END, finetune_settings, save_random_adapter, write_export

import raypipe
from raypipe.config import checked
from raypipe.config.model import local_path
from raypipe.engines.frontend import TransformersFrontend
from raypipe.errors import ErrorShareError, FingerprintError
from raypipe.finetune.encoding import ExampleEncoder
from raypipe.finetune.examples import read_examples
from raypipe.finetune.model import LoraModel
from raypipe.finetune.record import FinetuneRecord, read_curve
from raypipe.finetune.training import Finetuning
from raypipe.finetune.workers import OneWorker
from raypipe.runtime.finetune.config import FinetuneConfig

FILES = ("adapter_model.safetensors", "adapter_config.json", "base.json")


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_export(tmp_path_factory.mktemp("data") / "export", 11, 3)


@pytest.fixture(scope="module")
def calm(
    examples: Path, tmp_path_factory: pytest.TempPathFactory, ray_cluster: None
) -> tuple[Path, FinetuneRecord]:
    """A training that nothing disturbed."""
    output = tmp_path_factory.mktemp("calm")
    return output, raypipe.finetune(finetune_settings(examples, output))


def test_the_output_is_an_adapter_a_curve_a_record_and_a_page(
    calm: tuple[Path, FinetuneRecord],
) -> None:
    output, record = calm
    assert sorted(path.name for path in output.iterdir()) == [
        "adapter",
        "finetune.json",
        "report.html",
        "training.jsonl",
    ]
    assert {*FILES} <= {path.name for path in (output / "adapter").iterdir()}
    assert record == FinetuneRecord.model_validate_json((output / "finetune.json").read_bytes())
    assert (record.status, record.steps, record.best_step) == ("finished", 9, 9)
    assert (record.counts.train, record.counts.development, record.counts.left_out) == (11, 3, 0)
    assert len(record.targets) == 13
    curve = read_curve(output / "training.jsonl")
    assert [point.step for point in curve] == list(range(1, 10))
    assert curve[-1].development_loss == record.development_loss
    assert curve[-1].train_loss < curve[0].train_loss
    page = (output / "report.html").read_text()
    assert "<script" not in page
    assert "the adapter of step 9 is kept" in page
    assert "model.language_model.layers.0.self_attn.q_proj" in page


def test_two_workers_learn_what_one_learns_from_their_batches_together(
    calm: tuple[Path, FinetuneRecord], examples: Path
) -> None:
    config = checked(FinetuneConfig, finetune_settings(examples, calm[0]), "config")
    path = local_path("tiny-alm")
    model = LoraModel(path, None, config.lora, seed=0)
    training = config.training.model_copy(update={"batch_size": 4, "accumulation": 1})
    encoder = ExampleEncoder(TransformersFrontend(path), [END], training.cutoff)
    alone = Finetuning(model, encoder, read_examples(examples), training, OneWorker())
    for point, other in zip(alone.go_on(), read_curve(calm[0] / "training.jsonl"), strict=True):
        assert point.target_tokens == other.target_tokens
        assert point.train_loss == pytest.approx(other.train_loss, rel=1e-3)
    learnt = load_file(calm[0] / "adapter" / "adapter_model.safetensors")
    for name, value in model.state().items():
        other_value = learnt[name.replace(".default", "")]
        torch.testing.assert_close(value, other_value, atol=1e-4, rtol=1e-2)


def test_a_killed_training_goes_on_to_the_same_adapter(
    calm: tuple[Path, FinetuneRecord], examples: Path, tmp_path: Path
) -> None:
    output = tmp_path / "killed"
    document = finetune_settings(examples, output)
    config = tmp_path / "finetune.yaml"
    config.write_text(yaml.safe_dump(document))
    process = subprocess.Popen(
        [sys.executable, "-m", "raypipe", "finetune", str(config)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    snapshots = "checkpoints/checkpoint_*/state.pt"
    while len({path.parent.name for path in output.glob(snapshots)}) < 2:
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (output / "adapter").exists()
    time.sleep(1)  # the workers notice that their driver is gone
    record = raypipe.finetune(document)
    assert record.steps == calm[1].steps
    assert (output / "training.jsonl").read_text() == (calm[0] / "training.jsonl").read_text()
    for name in FILES:
        assert (output / "adapter" / name).read_bytes() == (calm[0] / "adapter" / name).read_bytes()


def test_a_finished_job_is_not_done_again_and_another_one_is_refused(
    calm: tuple[Path, FinetuneRecord], examples: Path
) -> None:
    output, record = calm
    assert raypipe.finetune(finetune_settings(examples, output)) == record
    with pytest.raises(FingerprintError, match="of other settings: give another output"):
        raypipe.finetune(finetune_settings(examples, output, training={"seed": 1}))


@pytest.mark.slow
def test_a_run_with_the_adapter_has_its_own_name_and_answers(
    corpus: Path, runs: Any, tmp_path: Path
) -> None:
    adapter = save_random_adapter(tmp_path / "adapter", local_path("tiny-alm"))
    models = [{"path": "tiny-alm"}, {"path": "tiny-alm", "adapter": str(adapter)}]
    runs.run(corpus, tmp_path / "run", models=models)
    rows = runs.rows(
        tmp_path / "run",
        "SELECT model, min(hypotheses[1].text) AS answer FROM generations GROUP BY 1 ORDER BY 1",
    )
    assert [row["model"] for row in rows] == ["tiny-alm", "tiny-alm+adapter"]
    assert rows[0]["answer"] != rows[1]["answer"]


@pytest.mark.slow
def test_an_error_of_a_worker_is_told_as_it_is(examples: Path, tmp_path: Path, ray_cluster) -> None:
    broken = write_export(tmp_path / "export", 3)
    for file in (broken / "audio").iterdir():
        file.write_bytes(b"no sound")
    document = finetune_settings(broken, tmp_path / "out", workers=1, max_failures=0)
    with pytest.raises(ErrorShareError, match="of 3 examples cannot be learnt from, more than"):
        raypipe.finetune(document)


def test_jobs_with_the_name_of_a_room_stay_functions_of_the_package() -> None:
    importlib.import_module("raypipe.finetune.settings")
    importlib.import_module("raypipe.relabel.settings")
    assert callable(raypipe.finetune)
    assert callable(raypipe.relabel)
