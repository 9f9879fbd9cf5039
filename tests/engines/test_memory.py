"""What a checkpoint needs of a GPU's memory, from files of the right sizes that hold nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raypipe.engines.checkpoint_files import weight_bytes
from raypipe.engines.engine import ModelSettings
from raypipe.engines.memory import MemoryNeed, gpu_dtype, memory_need, stored_dtype
from raypipe.records import Grammar, Search

GIB = 1 << 30
SHARDS = 5
SHARD_BYTES = 3_360_000_000

TEXT = {
    "model_type": "qwen2",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "vocab_size": 156032,
}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Qwen2-Audio-7B's shape, its weights sparse files."""
    config = {
        "model_type": "qwen2_audio",
        "architectures": ["Qwen2AudioForConditionalGeneration"],
        "torch_dtype": "bfloat16",
        "text_config": TEXT,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    for number in range(SHARDS):
        name = f"model-{number + 1:05}-of-{SHARDS:05}.safetensors"
        with (tmp_path / name).open("wb") as file:
            file.truncate(SHARD_BYTES)
    return tmp_path


def settings(path: Path, dtype: str) -> ModelSettings:
    return ModelSettings(str(path), None, None, dtype, "auto", trust_remote_code=False)


def test_its_parts_are_those_of_the_formula(published: Path) -> None:
    search = Search(5, True, 40)
    need = memory_need(settings(published, "bfloat16"), 250, [search])
    assert need.weights == SHARDS * SHARD_BYTES
    keys_and_values = 2 * 32 * 32 * 128 * 2
    assert keys_and_values == 1 << 19  # half a MiB per token
    assert need.row == keys_and_values * (250 + 6 * 40) + 6 * 156032 * 12
    assert need.work == 16_384 * (8 * 4096 + 4 * 11008) * 2 + keys_and_values * 1024
    longer = memory_need(settings(published, "bfloat16"), 1500, [search])
    assert longer.work - need.work == keys_and_values * (1500 - 1024)
    # As many as an H100 was seen to hold, and none on a small card.
    assert need.rows(int(0.9 * 80 * GIB)) > 128
    assert need.rows(16 * GIB) < 1


def test_every_search_holds_on_to_its_rows(published: Path) -> None:
    one = memory_need(settings(published, "bfloat16"), 250, [Search(5, True, 40)])
    two = memory_need(settings(published, "bfloat16"), 250, [Search(5, True, 40)] * 2)
    assert two == MemoryNeed(one.weights, one.work, 2 * one.row)


def test_guessed_tokens_have_their_memory_where_a_grammar_holds_answers(published: Path) -> None:
    free = memory_need(settings(published, "bfloat16"), 250, [Search(5, True, 40)])
    grammar = Grammar("regex", "yes|no")
    held = memory_need(settings(published, "bfloat16"), 250, [Search(5, True, 40, grammar)])
    assert held.work - free.work == 1024 * ((1 << 19) + 156032 * 12)
    assert (held.row, held.weights) == (free.row, free.weights)


def test_weights_in_another_precision_have_another_size(published: Path) -> None:
    search = [Search(0, True, 8)]
    half = memory_need(settings(published, "bfloat16"), 250, search)
    whole = memory_need(settings(published, "float32"), 250, search)
    assert whole.weights == 2 * half.weights
    assert whole.work == 2 * half.work


def test_a_text_model_is_its_own_text_config(tmp_path: Path) -> None:
    config = TEXT | {"architectures": ["Qwen2ForCausalLM"], "dtype": "float16"}
    config |= {"num_key_value_heads": 4}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    need = memory_need(settings(tmp_path, "float16"), 10, [Search(1, False, 2)])
    assert (need.weights, need.row) == (100, 2 * 32 * 4 * 128 * 2 * 12 + 156032 * 12)
    assert weight_bytes(str(tmp_path), None) == 100


@pytest.mark.parametrize(
    ("config", "dtype"),
    [
        ({}, "float32"),
        ({"torch_dtype": "bfloat16"}, "bfloat16"),
        ({"dtype": "float16"}, "float16"),
        ({"text_config": {"torch_dtype": "bfloat16"}}, "bfloat16"),
        ({"thinker_config": {"text_config": {"dtype": "bfloat16"}}}, "bfloat16"),
        ({"dtype": "auto", "text_config": {"dtype": "float16"}}, "float16"),
        ({"dtype": "float32", "text_config": {"dtype": "float16"}}, "float32"),
    ],
)
def test_the_precision_that_it_is_in_is_found_wherever_it_stands(
    config: dict[str, object], dtype: str, tmp_path: Path
) -> None:
    assert stored_dtype(config) == dtype
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert gpu_dtype(settings(tmp_path, "auto")) == dtype
