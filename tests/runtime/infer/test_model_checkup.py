"""What a run will ask of one model and what that takes: figures worked out by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from checkups import corpus_of_seven, model_of, told
from in_process import InProcess

from raypipe.runtime.infer.devices import Devices
from raypipe.runtime.infer.model_checkup import MemoryFacts
from raypipe.tiny_alm import checkpoint_path

GIB = 1 << 30


@pytest.fixture
def corpus(fake_engine: None, tmp_path: Path) -> InProcess:
    return corpus_of_seven(tmp_path)


def test_a_limit_and_windows_change_what_is_too_long(corpus: InProcess) -> None:
    limited = told(corpus, input={"shards": str(corpus.shards), "limit": 4})
    assert limited.corpus is not None
    assert (limited.corpus.shards, limited.corpus.utterances) == (2, 4)
    assert model_of(limited).clips.too_long == 1
    cut = model_of(told(corpus, audio={"long_audio": "windows"})).clips
    assert (cut.too_long, cut.cut, cut.window_s) == (0, 2, 8.0)
    short = model_of(told(corpus, audio={"max_duration_s": 2})).clips
    assert (short.too_long, short.limit_s) == (4, 2.0)


def test_a_model_is_what_its_files_say(corpus: InProcess) -> None:
    model = model_of(told(corpus))
    assert dict(model.facts) == {
        "family": "Qwen2-Audio",
        "architecture": "Qwen2AudioForConditionalGeneration",
        "decoder": "tree",
        "stored in": "float16",
        "penalty": "none",
    }
    assert model.memory is not None
    size = (checkpoint_path() / "model.safetensors").stat().st_size
    assert model.memory.need.weights == 2 * size  # stored in half of float32
    assert (model.memory.counted, model.memory.rows) == (False, 16)
    config = json.loads((checkpoint_path() / "config.json").read_text())["text_config"]
    per_token = 2 * config["num_hidden_layers"] * config["hidden_size"] * 4
    # One prompt of a clip of 8 s, and four lanes of 96 tokens with the vocabulary's logits.
    tokens = (model.memory.need.row - 4 * config["vocab_size"] * 12) / per_token - 4 * 96
    assert 300 < tokens < 400
    assert tokens == round(tokens)


def test_the_penalty_that_applies_is_told_with_who_asks_for_it(
    corpus: InProcess, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint_path(), tmp_path / "published"))
    document = json.loads((folder / "generation_config.json").read_text())
    document |= {"do_sample": True, "top_p": 0.5, "repetition_penalty": 1.1}
    (folder / "generation_config.json").write_text(json.dumps(document))
    model = {"path": str(folder)}

    def penalty(**changes: Any) -> str:
        return model_of(told(corpus, **changes)).facts["penalty"]

    assert penalty(model=model) == "repetition_penalty 1.1, asked for by the checkpoint"
    assert penalty(model=model | {"ignore_generation_config": True}) == "none"
    assert penalty(model=model, decoding={"penalties": "none"}) == "none"
    own = {"penalties": {"repetition_penalty": 1.05}}
    assert penalty(model=model, decoding=own) == "repetition_penalty 1.05, asked for by the run"


def test_the_turn_is_shown_as_the_model_reads_it(corpus: InProcess) -> None:
    (asked,) = model_of(told(corpus)).turns
    assert (asked.prompt, asked.utterance_id, asked.seconds) == ("distribution", "u0", 0.5)
    assert asked.turn is not None
    text = asked.turn.text
    # 50 frames, halved twice: (50 - 1) // 2 + 1 = 25, (25 - 2) // 2 + 1 = 12.
    assert asked.turn.audio_tokens == 12
    assert "<|audio_bos|>[12 audio tokens]<|audio_eos|>" in text
    assert text.endswith("<|im_start|>assistant\n")
    assert "Emotions: anger, disgust, fear, happiness, neutral, sadness." in text
    assert asked.turn.tokens is not None
    assert asked.turn.tokens > 12


def test_labels_are_shown_with_their_words_and_ids(corpus: InProcess) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(checkpoint_path() / "tokenizer.json"))
    words = model_of(told(corpus)).words
    assert {word.label for word in words} == set(corpus.labels.names)
    for word in words:
        assert tokenizer.decode(list(word.token_ids)) == word.form


def test_missing_weights_are_counted_on_the_config(corpus: InProcess, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint_path(), tmp_path / "light"))
    (folder / "model.safetensors").unlink()
    checked = told(corpus, model={"path": str(folder)})
    assert checked.faults == (f"model {folder}: no weights (*.safetensors) in the folder",)
    (light,) = checked.models
    whole = model_of(told(corpus))
    assert light.memory is not None
    assert whole.memory is not None
    assert light.memory.counted
    # A file has a header, and what is not a weight.
    assert light.memory.need.weights == pytest.approx(whole.memory.need.weights, rel=0.01)
    assert light.memory.need.row == whole.memory.need.row


def test_a_published_shape_has_the_size_of_its_published_files(
    corpus: InProcess, tmp_path: Path
) -> None:
    """Qwen2-Audio-7B: 8.397 billion parameters in bfloat16, sparse files of their size."""
    folder = tmp_path / "seven"
    folder.mkdir()
    for file in checkpoint_path().iterdir():
        if file.suffix in (".json", ".jinja"):
            shutil.copy(file, folder)
    text = {"model_type": "qwen2", "hidden_size": 4096, "intermediate_size": 11008}
    text |= {"num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32}
    document = {
        "model_type": "qwen2_audio",
        "architectures": ["Qwen2AudioForConditionalGeneration"],
        "torch_dtype": "bfloat16",
        "text_config": text | {"vocab_size": 156032},
    }
    (folder / "config.json").write_text(json.dumps(document))
    size = 2 * 8_397_000_000
    header = {"w": {"dtype": "BF16", "shape": [size // 2], "data_offsets": [0, size]}}
    encoded = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        file.truncate(8 + len(encoded) + size)
    card = Devices(1, "made-up card", 80 * GIB)
    auto = {"gpus_per_actor": "auto", "batch_size": "auto"}
    big = model_of(told(corpus, card, model={"path": str(folder)}, resources=auto))
    assert big.memory is not None
    assert big.dtype == "bfloat16"
    assert big.memory.need.weights == pytest.approx(size, rel=1e-6)
    # Half a MiB for a token; 750 of audio, 96 for each of four lanes, the rest is text with a
    # transcript of 120 words.
    tokens = (big.memory.need.row - 4 * 156032 * 12) / (1 << 19)
    assert 750 + 384 + 120 < tokens < 1500
    left = 0.9 * 80 * GIB - big.memory.need.weights - big.memory.need.work
    assert big.memory.rows == int(left // big.memory.need.row)
    (folder / "model.safetensors").unlink()
    light = told(corpus, card, model={"path": str(folder)}, resources=auto).models[0]
    assert light.memory is not None
    assert light.memory.counted
    assert light.memory.need.weights == pytest.approx(size, rel=0.001)
    assert light.memory.rows is None


def test_an_endpoint_is_asked_so_often_and_costs_at_most(
    corpus: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    api = {"preset": "gemini-2.0-flash", "prices": {"input": 1.0, "audio": 2.0, "output": 3.0}}
    model = {"engine": "openai", "path": "gemini-2.0-flash", "api": api}
    decoding = {"beam_count": 10, "max_new_tokens": 50}
    checked = told(corpus, model=model, decoding=decoding, strategies=["greedy", "w_bon"])
    assert checked.faults == ("the environment variable GEMINI_API_KEY holds no key",)
    (endpoint,) = checked.models
    assert endpoint.memory is None
    spending = endpoint.spending
    assert spending is not None
    assert spending.requests == 1 + 2  # greedy; ten samples, eight to a request
    assert spending.output_tokens == 11 * 50
    (asked,) = endpoint.turns
    assert asked.turn is not None
    assert spending.text_tokens == 3 * -(-len(asked.turn.text) // 4)
    expected = (spending.text_tokens * 1.0 + 550 * 3.0) / 1e6
    assert spending.cost == pytest.approx(expected)


def test_an_engine_that_tells_nothing_of_its_models_is_shown_without(corpus: InProcess) -> None:
    fake = model_of(told(corpus, model={"engine": "fake", "path": "none"}))
    memory: MemoryFacts | None = fake.memory
    assert memory is None
    assert fake.facts == {}
    assert fake.turns[0].turn is None
