"""What small files tell of a model, and its size where there are no weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors import safe_open

from raypipe.engines.engine import ModelSettings
from raypipe.engines.model_facts import checkpoint_facts, counted_weight_bytes
from raypipe.errors import ConfigError, UnsupportedError
from raypipe.tiny_alm import checkpoint_path


def settings(path: Path) -> ModelSettings:
    return ModelSettings(str(path), None, None, "float32", "auto", trust_remote_code=False)


def of_text(folder: Path, **values: object) -> Path:
    document = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(document | values))
    return folder


def test_the_decoder_is_the_one_that_the_engine_will_take(tmp_path: Path) -> None:
    assert checkpoint_facts(settings(checkpoint_path()), "transformers")["decoder"] == "tree"
    assert checkpoint_facts(settings(checkpoint_path()), "vllm")["decoder"] == "vLLM"
    text = checkpoint_facts(settings(of_text(tmp_path)), "transformers")
    assert (text["family"], text["decoder"], text["stored in"]) == (
        "Qwen2, Qwen2.5 (text)",
        "tree",
        "bfloat16",
    )
    sliding = of_text(tmp_path, use_sliding_window=True, sliding_window=64, max_window_layers=1)
    facts = checkpoint_facts(settings(sliding), "transformers")
    assert facts["decoder"].startswith("plain, one utterance at a time: the language model has ")


def test_a_variant_that_no_decoder_reproduces_is_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint_path(), tmp_path / "sliding"))
    document = json.loads((folder / "config.json").read_text())
    document["text_config"] |= {"use_sliding_window": True, "sliding_window": 64}
    document["text_config"] |= {"max_window_layers": 1, "layer_types": None}
    (folder / "config.json").write_text(json.dumps(document))
    with pytest.raises(UnsupportedError, match="reproduces full_attention only"):
        checkpoint_facts(settings(folder), "transformers")


def test_a_folder_without_a_model_has_no_facts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json cannot be read: No such file"):
        checkpoint_facts(settings(tmp_path), "transformers")


def test_weights_that_are_not_there_are_counted_as_those_that_are() -> None:
    with safe_open(checkpoint_path() / "model.safetensors", "np") as stored:
        numbers = sum(stored.get_tensor(name).size for name in stored.keys())  # noqa: SIM118
    counted = counted_weight_bytes(settings(checkpoint_path()), "transformers", "float32")
    assert counted == 4 * numbers
    assert counted == 2 * counted_weight_bytes(
        settings(checkpoint_path()), "transformers", "bfloat16"
    )
