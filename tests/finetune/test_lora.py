"""Low-rank updates against their formula and against peft, and merged against beside."""

from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file
from spoken_export import END
from transformers import Qwen2AudioForConditionalGeneration

from raypipe.engines.families import family_of
from raypipe.engines.model_loading import load_model
from raypipe.errors import UnsupportedError
from raypipe.finetune.encoding import IGNORED, ExampleEncoder
from raypipe.finetune.examples import read_examples
from raypipe.finetune.model import LoraModel
from raypipe.finetune.settings import PRESETS, FinetuneTraining, LoraSettings
from raypipe.finetune.targets import target_modules

ORIGIN = {"revision": None, "trust_remote_code": False}


def test_the_papers_preset_is_its_section_3_1() -> None:
    paper = PRESETS["paper"]
    assert (paper.lora.rank, paper.lora.alpha) == (8, 16)
    assert paper.lora.projections == ("q", "k", "v", "o")
    assert paper.lora.head
    assert not paper.lora.audio_tower
    training = paper.training
    assert training.learning_rate == 1e-5
    assert training.warmup_share == 0.1
    assert training.epochs == 2
    assert (training.batch_size, training.accumulation) == (1, 8)
    assert training.cutoff == 2048
    assert training.weight_decay > 0
    assert training.patience is not None, "early stopping"


def base(tiny_alm: str) -> Qwen2AudioForConditionalGeneration:
    return Qwen2AudioForConditionalGeneration.from_pretrained(tiny_alm, dtype=torch.float32).eval()


def test_bare_names_would_match_the_audio_tower_and_the_full_ones_do_not(tiny_alm) -> None:
    model = base(tiny_alm)
    targets = target_modules(model, LoraSettings())
    layers = range(model.config.text_config.num_hidden_layers)
    expected = [
        f"model.language_model.layers.{layer}.self_attn.{name}_proj"
        for layer in layers
        for name in "qkvo"
    ]
    assert list(targets) == [*expected, "lm_head"]
    bare = peft.get_peft_model(base(tiny_alm), peft.LoraConfig(target_modules=["q_proj"]))
    full = peft.get_peft_model(model, peft.LoraConfig(target_modules=list(targets)))
    assert any("audio_tower" in name for name in bare.targeted_module_names)
    assert sorted(full.targeted_module_names) == sorted(targets)


def test_the_encoder_is_adapted_by_option_only(tiny_alm) -> None:
    lora = LoraSettings(projections=("q", "o"), head=False, audio_tower=True)
    targets = target_modules(base(tiny_alm), lora)
    assert "model.audio_tower.layers.3.self_attn.out_proj" in targets
    assert "model.audio_tower.layers.3.self_attn.q_proj" in targets
    assert "model.language_model.layers.0.self_attn.o_proj" in targets
    assert "lm_head" not in targets


def test_a_tied_head_is_refused_and_the_choice_said(tiny_alm) -> None:
    model = base(tiny_alm)
    model.lm_head.weight = model.model.language_model.embed_tokens.weight
    with pytest.raises(UnsupportedError, match=r"lora: \{head: false\}"):
        target_modules(model, LoraSettings())
    assert target_modules(model, LoraSettings(head=False))


def test_nothing_to_learn_is_refused(tiny_alm) -> None:
    with pytest.raises(UnsupportedError, match="nothing would be learnt"):
        target_modules(base(tiny_alm), LoraSettings(projections=(), head=False))


@pytest.fixture(scope="module")
def examples(export, frontend):
    encoder = ExampleEncoder(frontend, [END], 2048)
    return [encoder.encode(example) for example in read_examples(export).train[:3]]


def test_the_adapter_is_a_normal_folder_of_peft_with_the_head_as_lora(random_adapter) -> None:
    tensors = load_file(random_adapter / "adapter_model.safetensors")
    assert all(".lora_A.weight" in name or ".lora_B.weight" in name for name in tensors)
    assert "base_model.model.lm_head.lora_A.weight" in tensors
    config = peft.PeftConfig.from_pretrained(random_adapter)
    assert config.peft_type == "LORA"
    assert config.modules_to_save is None
    assert (config.r, config.lora_alpha) == (4, 8)


def test_an_updated_layer_is_w_x_plus_alpha_over_r_b_a_x(tiny_alm, random_adapter) -> None:
    tensors = load_file(random_adapter / "adapter_model.safetensors")
    model = base(tiny_alm)
    name = "model.language_model.layers.1.self_attn.v_proj"
    layer = model.get_submodule(name)
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    updated = peft.PeftModel.from_pretrained(model, random_adapter)
    a, b = (tensors[f"base_model.model.{name}.lora_{part}.weight"] for part in "AB")
    x = torch.randn(5, weight.shape[1], generator=torch.Generator().manual_seed(0))
    by_hand = x @ weight.T + bias + 8 / 4 * (x @ a.T) @ b.T
    torch.testing.assert_close(updated.get_submodule(f"base_model.model.{name}")(x), by_hand)


def test_the_loss_is_that_of_the_model_itself_beside_peft_one_by_one(
    tiny_alm, random_adapter, examples
) -> None:
    """Ours pads, shares encodings and skips the prompt's logits; transformers does none of it."""
    model = LoraModel(tiny_alm, None, LoraSettings(rank=4, alpha=8), seed=0)
    model.restore(read_state(random_adapter, model))
    reference = peft.PeftModel.from_pretrained(base(tiny_alm), random_adapter)
    total = 0.0
    for example in examples:
        labels = torch.from_numpy(example.labels)[None]
        padded = np.zeros((128, 3000), dtype=np.float32)
        features = example.model_input.features
        frames = example.model_input.feature_frames
        padded[:, : features.shape[1]] = features
        padded[:, features.shape[1] :] = features.min()  # silence, which is masked
        mask = (torch.arange(3000) < frames).long()[None]
        with torch.no_grad():
            loss = reference(
                input_ids=torch.from_numpy(example.model_input.token_ids)[None],
                attention_mask=torch.ones_like(labels),
                input_features=torch.from_numpy(padded)[None],
                feature_attention_mask=mask,
                labels=labels,
            ).loss
        total += float(loss) * example.target_count
    with torch.no_grad():
        together = float(model.loss_sum(examples))
        alone = sum(float(model.loss_sum([example])) for example in examples)
    assert together == pytest.approx(total, rel=1e-4)
    assert alone == pytest.approx(together, rel=1e-5)


def read_state(adapter: Path, model: LoraModel) -> dict[str, torch.Tensor]:
    tensors = load_file(adapter / "adapter_model.safetensors")
    return {name: tensors[name.replace(".default", "")] for name in model.parameters}


def test_merged_equals_beside_within_1e_4_in_float32(tiny_alm, random_adapter, examples) -> None:
    family = family_of("x", ["Qwen2AudioForConditionalGeneration"], "transformers")
    merged = load_model(family, tiny_alm, ORIGIN, torch.float32, "cpu", str(random_adapter))
    assert type(merged) is Qwen2AudioForConditionalGeneration
    beside = peft.PeftModel.from_pretrained(base(tiny_alm), random_adapter)
    plain = base(tiny_alm)
    ids = torch.from_numpy(examples[0].model_input.token_ids)
    ids = ids[ids != 998][None]
    with torch.no_grad():
        logits = [model(input_ids=ids).logits for model in (merged, beside, plain)]
    torch.testing.assert_close(logits[0], logits[1], atol=1e-4, rtol=0)
    assert (logits[0] - logits[2]).abs().max() > 1, "the adapter matters"


def gradient(model: LoraModel, groups) -> dict[str, torch.Tensor]:
    model.train(True)
    count = 0
    for examples in groups:
        model.loss_sum(examples).backward()
        count += sum(example.target_count for example in examples)
    gradients = {
        name: parameter.grad.clone() / count for name, parameter in model.parameters.items()
    }
    for parameter in model.parameters.values():
        parameter.grad = None
    return gradients


def test_accumulated_by_tokens_is_the_single_big_batch_and_by_means_it_is_not(
    tiny_alm, random_adapter, examples
) -> None:
    model = LoraModel(tiny_alm, None, LoraSettings(rank=4, alpha=8), seed=0)
    model.restore(read_state(random_adapter, model))
    assert len({example.target_count for example in examples}) > 1
    big = gradient(model, [examples])
    accumulated = gradient(model, [[example] for example in examples])
    single = [gradient(model, [[example]]) for example in examples]
    differs = False
    for name, value in big.items():
        torch.testing.assert_close(accumulated[name], value, atol=1e-6, rtol=1e-4)
        means = sum(gradients[name] for gradients in single) / len(single)
        differs |= not torch.allclose(means, value, atol=1e-6, rtol=1e-4)
    assert differs


def test_only_the_updates_are_trained_and_start_at_nothing(tiny_alm, examples) -> None:
    model = LoraModel(tiny_alm, None, LoraSettings(), seed=1)
    again = LoraModel(tiny_alm, None, LoraSettings(), seed=1)
    other = LoraModel(tiny_alm, None, LoraSettings(), seed=2)
    assert all(".lora_" in name for name in model.parameters)
    names = [name for name in model.parameters if ".lora_A." in name]
    assert all(torch.equal(model.parameters[n], again.parameters[n]) for n in names)
    assert not any(torch.equal(model.parameters[n], other.parameters[n]) for n in names)
    model.loss_sum(examples).backward()
    assert all(IGNORED == -100 and p.grad is not None for p in model.parameters.values())
    frozen = [p for p in model.peft_model.parameters() if not p.requires_grad]
    assert all(parameter.grad is None for parameter in frozen)


def test_an_encoder_by_option_is_learnt_too(tiny_alm, examples) -> None:
    lora = LoraSettings(projections=("q",), head=False, audio_tower=True)
    model = LoraModel(tiny_alm, None, lora, seed=1)
    model.loss_sum(examples[:1]).backward()
    grads = {n: p.grad for n, p in model.parameters.items() if "audio_tower" in n and "_B" in n}
    assert len(grads) == 4
    assert all(grad.abs().max() > 0 for grad in grads.values())


def test_layers_computed_twice_give_the_same_gradients(tiny_alm, examples) -> None:
    gradients = []
    for twice in (False, True):
        model = LoraModel(tiny_alm, None, LoraSettings(), seed=1, gradient_checkpointing=twice)
        layer = model.peft_model.base_model.model.model.language_model
        assert layer.layers[0].gradient_checkpointing == twice
        gradients.append(gradient(model, [examples]))
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], value)


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="each projection once"):
        LoraSettings(projections=("q", "q"))
    assert FinetuneTraining().batch_size == 1
