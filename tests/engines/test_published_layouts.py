"""Checkpoints as they are published say the same as the small ones that transformers writes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_parts import save_text, save_whole_omni
from hf_reference import Reference
from published_layouts import (
    LAYOUTS,
    as_published_qwen2_5_omni,
    as_published_qwen2_audio,
    as_published_qwen3_omni,
    change_json,
    shard,
)
from random_checkpoint import Shape
from safetensors.torch import load_file, save_file
from test_families import BY_NAME, asked_of
from test_transformers import assert_equals_generate

from raypipe.engines.checkpoint_files import WEIGHTS
from raypipe.engines.memory import stored_dtype
from raypipe.engines.transformers import TransformersEngine, TransformersFrontend
from raypipe.labels import label_set
from raypipe.records import Request, Search

SEARCH = Search(beam_count=3, greedy=True, max_new_tokens=20)


def hypotheses(path: Path, requests: list[Request]):
    frontend = TransformersFrontend(str(path))
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    engine = TransformersEngine(str(path), emotion_tokens=tokens, batch_size=3, device="cpu")
    generations = engine.generate(frontend.prepare(requests), SEARCH)
    return [hypothesis for generation in generations for hypothesis in generation.hypotheses]


def assert_the_same(mine, theirs):
    assert [one.token_ids for one in mine] == [one.token_ids for one in theirs]
    for one, other in zip(mine, theirs, strict=True):
        # Weights that stay in the file lie where its layout puts them, which rounds the last bit.
        assert one.alpha == pytest.approx(other.alpha, rel=2e-6, abs=1e-5)
        np.testing.assert_allclose(one.emotion_logits, other.emotion_logits, atol=2e-5)


@pytest.fixture(scope="module")
def expected(checkpoint, requests):
    return hypotheses(checkpoint, requests[:4])


@pytest.fixture
def copied(checkpoint, tmp_path) -> Path:
    shutil.copytree(checkpoint, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_answers_as_the_plain_one(layout, copied, requests, expected):
    LAYOUTS[layout](copied)
    assert_the_same(hypotheses(copied, requests[:4]), expected)


@pytest.mark.parametrize("layout", ["torch_dtype", "torch_dtype of the text model"])
def test_the_arithmetic_of_the_files_is_found_in_either_place(layout, copied):
    change_json(copied / "config.json", lambda config: config.update(dtype="bfloat16"))
    LAYOUTS[layout](copied)
    assert stored_dtype(json.loads((copied / "config.json").read_text())) == "bfloat16"


def test_weights_of_half_precision_are_widened_exactly(copied, requests):
    weights = load_file(copied / WEIGHTS)
    halved = {name: weight.to(torch.bfloat16) for name, weight in weights.items()}
    widened = {name: weight.to(torch.float32) for name, weight in halved.items()}
    save_file(widened, copied / WEIGHTS, metadata={"format": "pt"})
    expected = hypotheses(copied, requests[:2])
    save_file(halved, copied / WEIGHTS, metadata={"format": "pt"})
    shard(copied)
    change_json(copied / "config.json", lambda config: config.update(dtype="bfloat16"))
    assert_the_same(hypotheses(copied, requests[:2]), expected)


def test_tied_embeddings_are_their_own_head(tmp_path):
    tied, untied = tmp_path / "tied", tmp_path / "untied"
    save_text(tied, "Qwen2ForCausalLM", tie_word_embeddings=True)
    shutil.copytree(tied, untied)
    weights = load_file(untied / WEIGHTS)
    assert "lm_head.weight" not in weights
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, untied / WEIGHTS, metadata={"format": "pt"})
    change_json(untied / "config.json", lambda config: config.update(tie_word_embeddings=False))
    asked = [Request(f"{i}", f"Question {i}?", None) for i in range(3)]
    assert_the_same(hypotheses(tied, asked), hypotheses(untied, asked))
    shard(tied, 3)
    assert_the_same(hypotheses(tied, asked), hypotheses(untied, asked))


def test_rows_beyond_the_tokenizer_are_scored_as_generate_does(
    make_checkpoint, make_engine, emotion_tokens, requests
):
    path = make_checkpoint(Shape(unwritable_tokens=85))
    frontend = TransformersFrontend(str(path))
    reference = Reference(path, emotion_tokens.token_ids, 24)
    assert reference.model.lm_head.out_features == len(frontend._tokenizer) + 85
    assert_equals_generate(make_engine(path), frontend, reference, requests[:3], 3)


def test_qwen2_audio_as_published(copied, make_engine, emotion_tokens, requests):
    as_published_qwen2_audio(copied)
    frontend = TransformersFrontend(str(copied))
    reference = Reference(copied, emotion_tokens.token_ids, 24)
    assert_equals_generate(make_engine(copied), frontend, reference, requests[:4], 3)


@pytest.mark.parametrize(
    ("generation", "publish"),
    [("2_5", as_published_qwen2_5_omni), ("3", as_published_qwen3_omni)],
)
def test_an_omni_as_published(generation, publish, tmp_path):
    # That the whole one as transformers writes it equals generate() is shown in test_families.py.
    name = save_whole_omni(tmp_path, generation)
    requests = asked_of(BY_NAME[name])[2:5]
    expected = hypotheses(tmp_path, requests)
    publish(tmp_path)
    assert_the_same(hypotheses(tmp_path, requests), expected)
