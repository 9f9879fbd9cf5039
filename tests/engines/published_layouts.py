"""A small checkpoint rewritten as checkpoints of its family are published, old and new."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from raypipe.engines.checkpoint_files import INDEX, WEIGHTS

Rewrite = Callable[[Path], None]


def change_json(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(file.read_text(encoding="utf-8"))
    change(document)
    file.write_text(json.dumps(document), encoding="utf-8")


def shard(folder: Path, count: int = 5) -> None:
    """Weights in several files with an index; the head lies in the last, as in Qwen2-Audio-7B."""
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(weights, key=lambda name: "lm_head" in name)
    per_file = -(-len(names) // count)
    index: dict[str, str] = {}
    for number in range(count):
        own = names[number * per_file : (number + 1) * per_file]
        file = f"model-{number + 1:05}-of-{count:05}.safetensors"
        save_file({name: weights[name] for name in own}, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(own, file)
    total = sum(weight.numel() * weight.element_size() for weight in weights.values())
    document = {"metadata": {"total_size": total}, "weight_map": index}
    (folder / INDEX).write_text(json.dumps(document), encoding="utf-8")


def _torch_dtype(folder: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["torch_dtype"] = config.pop("dtype")

    change_json(folder / "config.json", change)


def _dtype_of_the_text_model(folder: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["text_config"]["torch_dtype"] = config.pop("dtype")

    change_json(folder / "config.json", change)


def _preprocessor_config(folder: Path) -> None:
    """The feature extractor in a file of its own, as transformers wrote it before version 5."""
    processor = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))
    (folder / "processor_config.json").unlink()
    extractor = processor["feature_extractor"] | {"processor_class": processor["processor_class"]}
    extractor |= {"return_attention_mask": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(extractor), encoding="utf-8")


def _both_processor_files(folder: Path) -> None:
    kept = (folder / "processor_config.json").read_text(encoding="utf-8")
    _preprocessor_config(folder)
    document = json.loads(kept)
    del document["feature_extractor"]
    (folder / "processor_config.json").write_text(json.dumps(document), encoding="utf-8")


def _template(folder: Path) -> str:
    file = folder / "chat_template.jinja"
    text = file.read_text(encoding="utf-8")
    file.unlink()
    return text


def _chat_template_json(folder: Path) -> None:
    text = json.dumps({"chat_template": _template(folder)})
    (folder / "chat_template.json").write_text(text, encoding="utf-8")


def _template_of_the_tokenizer(folder: Path) -> None:
    text = _template(folder)
    change_json(folder / "tokenizer_config.json", lambda config: config.update(chat_template=text))


def _unused_weights(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    frequencies = "language_model.model.layers.0.self_attn.rotary_emb.inv_freq"
    weights |= {frequencies: torch.ones(16), "talker.codec_head.weight": torch.ones(4, 4)}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def _end_as_a_number(folder: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        (config["eos_token_id"],) = config["eos_token_id"]

    change_json(folder / "generation_config.json", change)


def _end_named_twice(folder: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["eos_token_id"] *= 2

    change_json(folder / "generation_config.json", change)


def _ends_in_the_config(folder: Path) -> None:
    """No generation config, as in checkpoints of before transformers 4.26."""
    generation = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    (folder / "generation_config.json").unlink()
    ends = {"eos_token_id": generation["eos_token_id"]}
    change_json(folder / "config.json", lambda config: config.update(ends))


def _sampling(folder: Path) -> None:
    """The published generation config of Qwen2-Audio-7B-Instruct, its penalty aside."""
    sampling = {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.5}
    change_json(folder / "generation_config.json", lambda config: config.update(sampling))


def _other_files(folder: Path) -> None:
    """What lies beside the weights in published repositories, and is none of them."""
    (folder / "pytorch_model.bin").write_bytes(b"no pickle")
    (folder / "training_args.bin").write_bytes(b"no pickle")
    (folder / "consolidated.safetensors").write_bytes(b"no safetensors")


LAYOUTS: Mapping[str, Rewrite] = {
    "several files with an index": shard,
    "torch_dtype": _torch_dtype,
    "torch_dtype of the text model": _dtype_of_the_text_model,
    "preprocessor_config.json": _preprocessor_config,
    "preprocessor_config.json and processor_config.json": _both_processor_files,
    "chat_template.json": _chat_template_json,
    "chat_template in tokenizer_config.json": _template_of_the_tokenizer,
    "unused weights": _unused_weights,
    "one end as a number": _end_as_a_number,
    "an end named twice": _end_named_twice,
    "ends in config.json": _ends_in_the_config,
    "sampling settings": _sampling,
    "other files": _other_files,
}
"""Layouts that say the same as the small checkpoint does as transformers writes it today."""


def as_published_qwen2_audio(folder: Path) -> None:
    """Every key of Qwen2-Audio-7B's config, its values where they are no sizes; five files.

    What is not said there is left out here, where the default is the same at every size.
    """

    def change(config: dict[str, Any]) -> None:
        text, audio = config["text_config"], config["audio_config"]
        sizes = ("hidden_size", "num_attention_heads", "num_hidden_layers", "num_key_value_heads")
        config["text_config"] = {name: text[name] for name in sizes} | {
            "bos_token_id": text["bos_token_id"],
            "eos_token_id": text["eos_token_id"],
            "intermediate_size": text["intermediate_size"],
            "max_position_embeddings": 8192,
            "model_type": "qwen2",
            "rope_theta": 10000,
            "rms_norm_eps": 1e-05,
            "sliding_window": 32768,
            "torch_dtype": "bfloat16",
            "use_mrope": False,
            "vocab_size": text["vocab_size"],
        }
        own = ("d_model", "encoder_attention_heads", "encoder_ffn_dim", "encoder_layers")
        config["audio_config"] = {name: audio[name] for name in own} | {
            "activation_function": "gelu",
            "max_source_positions": 1500,
            "model_type": "qwen2_audio_encoder",
            "num_mel_bins": 128,
            "scale_embedding": False,
        }
        config |= {"ignore_index": -100, "vocab_size": text["vocab_size"]}
        del config["dtype"]

    change_json(folder / "config.json", change)
    shard(folder)
    _preprocessor_config(folder)
    _chat_template_json(folder)
    _sampling(folder)


def as_published_qwen2_5_omni(folder: Path) -> None:
    """Flags of Qwen2.5-Omni-7B's text model: no window, rotary sections under their old name."""

    def change(config: dict[str, Any]) -> None:
        text = config["thinker_config"]["text_config"]
        rope = text.pop("rope_parameters")
        text.pop("layer_types", None)
        text |= {
            "rope_theta": rope["rope_theta"],
            "rope_scaling": {
                "mrope_section": rope["mrope_section"],
                "rope_type": "default",
                "type": "default",
            },
            "sliding_window": 32768,
            "max_window_layers": 28,
            "use_sliding_window": False,
            "tie_word_embeddings": False,
        }
        thinker = config["thinker_config"]
        thinker["torch_dtype"] = thinker.pop("dtype", "float32")
        config |= {"enable_audio_output": True, "enable_talker": True, "torch_dtype": "bfloat16"}

    change_json(folder / "config.json", change)
    shard(folder, 3)
    generation = {"_from_model_config": True, "transformers_version": "4.52.4"}
    (folder / "generation_config.json").write_text(json.dumps(generation), encoding="utf-8")
    (folder / "spk_dict.pt").write_bytes(b"no pickle")


def as_published_qwen3_omni(folder: Path) -> None:
    """Flags of Qwen3-Omni-30B-A3B: sections under their old name, every expert by itself."""

    def change(config: dict[str, Any]) -> None:
        thinker = config["thinker_config"]
        text, vision = thinker["text_config"], thinker["vision_config"]
        rope = text.pop("rope_parameters")
        text |= {
            "rope_theta": rope["rope_theta"],
            "rope_scaling": {
                "interleaved": True,
                "mrope_interleaved": True,
                "mrope_section": rope["mrope_section"],
                "type": "default",
            },
            "mlp_only_layers": [],
            "decoder_sparse_step": 1,
            "norm_topk_prob": True,
            "shared_expert_intermediate_size": 0,
            "sliding_window": None,
            "use_qk_norm": True,
            "use_sliding_window": False,
        }
        vision |= {"apply_vit_abs_pos_embed": True, "spatial_patch_size": 16, "in_chans": 3}
        config |= {"enable_audio_output": True, "assistant_token_id": 1, "torch_dtype": "bfloat16"}

    change_json(folder / "config.json", change)
    weights = load_file(folder / WEIGHTS)
    assert any(".experts.0.gate_proj.weight" in name for name in weights)
    shard(folder, 3)
