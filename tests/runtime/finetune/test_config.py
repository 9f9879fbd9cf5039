"""The config of a finetune job: presets, what is refused, what makes another job."""

from pathlib import Path
from typing import Any

import pytest
from spoken_export import finetune_settings

from raypipe.config import checked
from raypipe.errors import ConfigError
from raypipe.finetune.settings import PRESETS
from raypipe.runtime.finetune.config import FinetuneConfig


def refused(document: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as error:
        checked(FinetuneConfig, document, "config")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_presets_are_changed_one_by_one() -> None:
    document = {"input": {"export": "export"}, "output": "out"}
    config = checked(FinetuneConfig, document, "config")
    assert config.lora == PRESETS["paper"].lora
    assert config.training == PRESETS["paper"].training
    changed = {**document, "preset": "tiny-alm", "training": {"epochs": 1}, "lora": {"rank": 2}}
    config = checked(FinetuneConfig, changed, "config")
    tiny = PRESETS["tiny-alm"]
    assert config.training == tiny.training.model_copy(update={"epochs": 1})
    assert config.lora == tiny.lora.model_copy(update={"rank": 2})
    assert "preset: Input should be 'paper' or 'tiny-alm'" in refused({**document, "preset": "x"})
    assert "training.rate: unknown key" in refused({**document, "training": {"rate": 1}})


def test_configs_that_cannot_be_are_refused_in_one_line(tmp_path: Path) -> None:
    document = finetune_settings(Path("export"), tmp_path / "out")
    assert "fine-tuning is done with transformers" in refused(
        {**document, "model": {"engine": "vllm", "path": "tiny-alm"}}
    )
    assert "train from the base model" in refused({**document, "model": {"adapter": "x"}})
    assert "folders that every node sees" in refused({**document, "output": "s3://bucket/x"})
    assert "one GPU, or on none" in refused({**document, "gpus_per_worker": 4})


def test_where_checkpoints_lie_and_who_computes_them_makes_no_other_job() -> None:
    def identity(**changes: Any) -> str:
        document = finetune_settings(Path("export"), Path("out"), **changes)
        return checked(FinetuneConfig, document, "config").identity("model", "examples")

    assert identity(training={"checkpoint_steps": 7}) == identity()
    assert identity(cpus_per_worker=3, gpus_per_worker=0, max_failures=9) == identity()
    assert identity(workers=3) != identity(), "steps of other batches"
    assert identity(lora={"rank": 5}) != identity()
