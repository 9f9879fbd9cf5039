"""Adapters merged at load: against generate() of the peft model, and what is refused."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from hf_reference import Reference
from safetensors.torch import load_file, save_file
from spoken_export import save_random_adapter
from test_transformers import assert_equals_generate
from transformers import Qwen2AudioForConditionalGeneration

from raypipe.config import ModelConfig, checked
from raypipe.config.model import local_path
from raypipe.engines.adapters import adapter_faults, merged_checkpoint
from raypipe.engines.engine import EngineSettings, ModelSettings
from raypipe.engines.transformers import TransformersEngine, TransformersFrontend
from raypipe.errors import ConfigError, EngineError, UnsupportedError
from raypipe.labels import label_set
from raypipe.records import EmotionTokens, Request, Search
from raypipe.runtime.infer.models import engine_of, faults_of, model_fingerprint
from raypipe.tiny_alm.spoken import spoken_clip

LIMIT = 16
QUESTION = "What emotion do you think the audio expresses?"


@pytest.fixture(scope="module")
def adapter(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("adapter") / "adapter"
    return save_random_adapter(folder, local_path("tiny-alm"))


@pytest.fixture(scope="module")
def asked() -> list[Request]:
    clips = [spoken_clip(index, "test")[0].astype(np.float32) for index in range(3)]
    return [Request(f"u{index}", QUESTION, clip) for index, clip in enumerate(clips)]


class Bounded:
    """An engine that looks for three beams and the greedy answer."""

    def __init__(self, engine: TransformersEngine) -> None:
        self.engine = engine

    def generate(self, inputs):
        return self.engine.generate(inputs, Search(3, True, LIMIT))


def engine_with(path: str, adapter: Path | None, frontend) -> Bounded:
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    folder = None if adapter is None else str(adapter)
    return Bounded(TransformersEngine(path, emotion_tokens=tokens, batch_size=2, adapter=folder))


def test_beams_with_an_adapter_are_those_of_generate_with_it(adapter, asked) -> None:
    path = local_path("tiny-alm")
    frontend = TransformersFrontend(path)
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    reference = Reference(Path(path), tokens.token_ids, LIMIT)
    plain = [reference.greedy(QUESTION, request.samples).token_ids for request in asked]
    reference.model = peft.PeftModel.from_pretrained(reference.model, adapter)  # not merged
    engine = engine_with(path, adapter, frontend)
    generations = assert_equals_generate(engine, frontend, reference, asked, 3)
    greedy = [generation.hypotheses[0].token_ids for generation in generations]
    assert greedy != plain, "the adapter matters"


def settings(adapter: object, path: str | None = None) -> ModelSettings:
    _, made = engine_of(ModelConfig(path=path or "tiny-alm", adapter=str(adapter)))
    return made


def test_a_merged_checkpoint_says_what_the_merged_model_says(
    adapter, asked, tmp_path, monkeypatch
) -> None:
    """What vLLM is given: read back as any checkpoint, by the engine that needs no vLLM."""
    monkeypatch.setenv("RAYPIPE_CACHE", str(tmp_path))
    made = dataclasses.replace(settings(adapter), dtype="float32")
    folder = merged_checkpoint(made)
    assert merged_checkpoint(made) == folder, "made once"
    base = Path(local_path("tiny-alm"))
    assert (folder / "config.json").read_bytes() == (base / "config.json").read_bytes()
    frontend = TransformersFrontend(str(folder))
    inputs = frontend.prepare(asked)
    ours = engine_with(str(base), adapter, frontend).generate(inputs)
    theirs = engine_with(str(folder), None, frontend).generate(inputs)
    for generation, other in zip(ours, theirs, strict=True):
        for hypothesis, same in zip(generation.hypotheses, other.hypotheses, strict=True):
            assert hypothesis.token_ids == same.token_ids
            assert hypothesis.alpha == pytest.approx(same.alpha, abs=1e-4)


def test_vllm_is_given_the_merged_checkpoint(adapter, tmp_path, monkeypatch) -> None:
    import raypipe.engines.vllm.engine

    given: list[tuple[str, object]] = []
    monkeypatch.setattr(
        raypipe.engines.vllm.engine,
        "VllmEngine",
        lambda path, revision, **_: given.append((path, revision)),
    )
    monkeypatch.setenv("RAYPIPE_CACHE", str(tmp_path))
    plugin, made = engine_of(ModelConfig(engine="vllm", path="tiny-alm", adapter=str(adapter)))
    made = dataclasses.replace(made, dtype="float32")
    tokens = plugin_tokens()
    plugin.engine(EngineSettings(made, tokens, batch_size=1, threads=None))
    assert given == [(str(merged_checkpoint(made)), None)]
    assert given[0][0].startswith(str(tmp_path))


def test_the_engine_of_a_config_has_its_adapter(adapter, asked) -> None:
    frontend = TransformersFrontend(local_path("tiny-alm"))

    def answers(model: ModelConfig) -> list[tuple[int, ...]]:
        plugin, made = engine_of(model)
        made = dataclasses.replace(made, dtype="float32")
        engine = plugin.engine(EngineSettings(made, plugin_tokens(), batch_size=2, threads=None))
        generations = engine.generate(frontend.prepare(asked), Search(0, True, LIMIT))
        return [generation.hypotheses[0].token_ids for generation in generations]

    direct = engine_with(local_path("tiny-alm"), adapter, frontend).generate(
        frontend.prepare(asked)
    )
    assert answers(ModelConfig(adapter=str(adapter))) == [
        generation.hypotheses[0].token_ids for generation in direct
    ]
    assert answers(ModelConfig(adapter=str(adapter))) != answers(ModelConfig())


def plugin_tokens() -> EmotionTokens:
    return TransformersFrontend(local_path("tiny-alm")).emotion_tokens(label_set("crema-d-6"))


def test_the_fingerprint_knows_the_adapters_content_and_not_its_place(adapter, tmp_path) -> None:
    shutil.copytree(adapter, tmp_path / "moved")
    without = model_fingerprint(ModelConfig())
    first = model_fingerprint(ModelConfig(adapter=str(adapter)))
    assert first != without
    assert model_fingerprint(ModelConfig(adapter=str(tmp_path / "moved"))) == first
    change(tmp_path / "moved", lambda tensors: {n: t + 1 for n, t in tensors.items()})
    assert model_fingerprint(ModelConfig(adapter=str(tmp_path / "moved"))) != first
    same = ModelConfig().identity()
    assert ModelConfig(adapter=str(adapter)).identity() == same, "known by its content alone"


def test_a_model_with_an_adapter_has_a_name_of_its_own() -> None:
    assert ModelConfig(adapter="out/angry").label == "tiny-alm+angry"
    assert ModelConfig(adapter="out/angry", name="mine").label == "mine"


def change(folder: Path, how) -> None:
    file = folder / "adapter_model.safetensors"
    save_file(how(load_file(file)), file)


def only_fault(adapter: object) -> str:
    (fault,) = adapter_faults(str(adapter), settings(adapter))
    assert "\n" not in fault
    return fault


def test_a_whole_adapter_has_no_faults(adapter) -> None:
    assert list(adapter_faults(str(adapter), settings(adapter))) == []


def test_what_is_no_adapter_is_refused_in_one_line(adapter, tmp_path) -> None:
    assert "no such folder" in only_fault(tmp_path / "nowhere")
    shutil.copytree(adapter, tmp_path / "out" / "adapter")
    assert f"did you mean {tmp_path / 'out' / 'adapter'}?" in only_fault(tmp_path / "out")
    folder = tmp_path / "out" / "adapter"
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "peft_type": "IA3"}))
    assert "is a IA3 of peft" in only_fault(folder)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(b"version https://git-lfs")
    assert "is no safetensors file" in only_fault(folder)
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.bin").write_bytes(b"")
    assert "pickles are not loaded" in only_fault(folder)


def test_an_adapter_of_another_model_is_refused_in_one_line(adapter, tmp_path) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(adapter, folder)
    name = "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight"
    change(folder, lambda tensors: {**tensors, name: torch.zeros(4, 64)})
    assert "layers.0.self_attn.q_proj, (192, 64) here, is (192, 192) in it" in only_fault(folder)
    deeper = name.replace("layers.0", "layers.9")
    change(
        folder,
        lambda tensors: {
            deeper: torch.zeros(4, 192),
            deeper.replace("lora_A", "lora_B"): torch.zeros(192, 4),
        },
    )
    assert "layers.9.self_attn.q_proj, (192, 192) here, is not in it" in only_fault(folder)
    record = folder / "base.json"
    record.write_text(json.dumps({"path": "other", "weights": "0"}))
    first, *_ = adapter_faults(str(folder), settings(folder))
    assert "was trained on other weights than those of model.path, on other" in first


def test_faults_are_those_of_a_run(tmp_path) -> None:
    from raypipe.config import RunConfig

    config = RunConfig.model_validate(
        {
            "input": {"shards": "."},
            "output": "x",
            "model": {"adapter": str(tmp_path / "nowhere")},
        }
    )
    assert list(faults_of(config)) == [
        f"model tiny-alm: adapter {tmp_path / 'nowhere'}: no such folder"
    ]


def test_matrices_without_a_place_are_refused_when_they_are_loaded(adapter, tmp_path) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(adapter, folder)
    odd = "base_model.model.model.audio_tower.layers.7.self_attn.q_proj.lora_A.weight"
    change(folder, lambda tensors: {**tensors, odd: torch.zeros(4, 192)})
    frontend = TransformersFrontend(local_path("tiny-alm"))
    with pytest.raises(EngineError, match=r"1 matrices do not fit, first .*layers\.7"):
        engine_with(local_path("tiny-alm"), folder, frontend)


def test_an_update_of_a_tied_head_is_refused_at_the_merge(adapter) -> None:
    from raypipe.engines.adapters import merge_adapter
    from raypipe.engines.families import family_of

    path = local_path("tiny-alm")
    model = Qwen2AudioForConditionalGeneration.from_pretrained(path)
    model.lm_head.weight = model.model.language_model.embed_tokens.weight
    family = family_of(path, ["Qwen2AudioForConditionalGeneration"], "transformers")
    with pytest.raises(UnsupportedError, match="whose weights are the embeddings"):
        merge_adapter(model, family, str(adapter))


def test_engines_without_weights_take_no_adapter(adapter) -> None:
    document = {
        "engine": "openai",
        "path": "gpt",
        "adapter": str(adapter),
        "api": {"base_url": "http://localhost:1"},
    }
    model = checked(ModelConfig, document, "config")
    with pytest.raises(ConfigError, match=r"model\.adapter: engine openai takes none"):
        engine_of(model)
