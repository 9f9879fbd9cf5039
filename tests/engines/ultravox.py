"""Ultravox: a seeded random checkpoint, and transformers' generate() behind the same parts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
import transformers
from checkpoint_parts import ROLES, TEXT, WHISPER, common_ids, temper
from hf_reference import Reference
from random_checkpoint import train_tokenizer
from safetensors.torch import load_file, save_file
from torch.nn.functional import gelu, pad, rms_norm, silu
from transformers.models.whisper.modeling_whisper import WhisperEncoder

STACK, PROJECTED = 8, 128

PROCESSOR = '''
"""Stands where published checkpoints have their processor: vLLM asks it about a sound at start."""

import torch
import transformers


class UltravoxProcessor(transformers.ProcessorMixin):
    def __init__(self, audio_processor, tokenizer):
        self.audio_processor, self.tokenizer = audio_processor, tokenizer
        self.chat_template = tokenizer.chat_template

    @classmethod
    def from_pretrained(cls, path, **settings):
        ears = transformers.WhisperFeatureExtractor.from_pretrained(path)
        return cls(ears, transformers.AutoTokenizer.from_pretrained(path))

    def __call__(self, text, audios, sampling_rate, **settings):
        made = self.audio_processor(
            audios, sampling_rate=sampling_rate, padding="longest", truncation=False,
            return_tensors="pt",
        )["input_features"]
        windows = torch.cat(made.split(3000, dim=2))
        count = len(windows)
        lengths = torch.full((count,), windows.shape[2])
        (before, after) = text.split("<|audio|>") if isinstance(text, str) else ("", "")
        ids = [self.tokenizer.encode(part, add_special_tokens=False) for part in (before, after)]
        tokens = (lengths / 16).ceil().int()
        placed = ids[0] + [self.audio_replacement_token_id] * int(tokens.sum()) + ids[1]
        return transformers.BatchFeature(
            {
                "input_ids": [placed],
                "audio_values": windows,
                "audio_lens": lengths,
                "audio_token_len": tokens,
                "audio_num_chunks": [count],
            },
            tensor_type="pt",
        )
'''


def save_ultravox(folder: Path, *, middle_norm: bool = True) -> None:
    """Whisper's encoder, the projector, a Llama; the code that vLLM wants to start with.

    Args:
        folder: where to.
        middle_norm: normalise between the projector's layers, as from version 0.5 on; behind them
            before.
    """
    tokenizer = train_tokenizer(1000)
    tokenizer.chat_template = ROLES
    tokenizer.save_pretrained(folder)
    ears = transformers.WhisperFeatureExtractor(feature_size=WHISPER["num_mel_bins"])
    ears.save_pretrained(folder)
    torch.manual_seed(6 + middle_norm)
    # vLLM's kernels on a CPU want heads of 32.
    heads = {"num_attention_heads": 3, "num_key_value_heads": 1}
    text = transformers.LlamaConfig(**TEXT | common_ids(tokenizer) | heads)
    text.architectures = ["LlamaForCausalLM"]
    audio = transformers.WhisperConfig(
        **{name: value for name, value in WHISPER.items() if name != "initializer_range"},
        init_std=WHISPER["initializer_range"],
    )
    llama, encoder = transformers.LlamaForCausalLM(text), WhisperEncoder(audio)
    temper(llama, tokenizer.eos_token_id, [tokenizer.pad_token_id])
    width, hidden = STACK * audio.d_model, text.hidden_size
    weights = {
        "ln_pre.weight": torch.full((width,), 0.4),
        "linear_1.weight": torch.randn(PROJECTED, width) * 0.1,
        "linear_2.weight": torch.randn(hidden, PROJECTED // 2) * 0.3,
    }
    norm = "ln_mid" if middle_norm else "ln_post"
    weights[f"{norm}.weight"] = torch.rand(PROJECTED // 2 if middle_norm else hidden) + 0.5
    parts = {
        "multi_modal_projector": weights,
        "audio_tower": encoder.state_dict(),
        "language_model": llama.state_dict(),
    }
    named = {f"{part}.{name}": w for part, held in parts.items() for name, w in held.items()}
    whole = {name: weight.contiguous().clone() for name, weight in named.items()}
    save_file(whole, str(folder / "model.safetensors"), metadata={"format": "pt"})
    (folder / "ultravox_processing.py").write_text(PROCESSOR, encoding="utf-8")
    code = {"auto_map": {"AutoProcessor": "ultravox_processing.UltravoxProcessor"}}
    config = code | {
        "model_type": "ultravox",
        "architectures": ["UltravoxModel"],
        "audio_config": audio.to_dict(),
        "text_config": text.to_dict(),
        "audio_token_index": len(tokenizer),
        "hidden_size": PROJECTED,
        "stack_factor": STACK,
        "projector_ln_mid": middle_norm,
        "vocab_size": len(tokenizer),
        "dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    heard = folder / "preprocessor_config.json"
    heard.write_text(json.dumps(json.loads(heard.read_text()) | code), encoding="utf-8")
    ends = {"eos_token_id": [tokenizer.eos_token_id], "pad_token_id": tokenizer.pad_token_id}
    transformers.GenerationConfig(**ends).save_pretrained(folder)


class UltravoxReference(Reference):
    """generate() of the text model, given the embeddings of a whole turn."""

    def __init__(self, path: Path, recorded_ids: tuple[int, ...], max_new_tokens: int):
        config = json.loads((path / "config.json").read_text())
        self.weights = load_file(path / "model.safetensors")
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        self.extractor = transformers.WhisperFeatureExtractor.from_pretrained(path)
        text = transformers.LlamaConfig(**config["text_config"])
        audio = transformers.WhisperConfig(**config["audio_config"], attn_implementation="eager")
        self.model = self.load(transformers.LlamaForCausalLM(text), "language_model.")
        self.encoder = self.load(WhisperEncoder(audio), "audio_tower.")
        self.model.generation_config = transformers.GenerationConfig.from_pretrained(path)
        self.recorded_ids, self.max_new_tokens = list(recorded_ids), max_new_tokens
        self.follows = None

    def load(self, part: torch.nn.Module, prefix: str) -> torch.nn.Module:
        part.load_state_dict(
            {
                name.removeprefix(prefix): weight
                for name, weight in self.weights.items()
                if name.startswith(prefix)
            }
        )
        return part.eval()

    def encode(self, samples: np.ndarray) -> torch.Tensor:
        frames = math.ceil(len(samples) / 160)
        heard = self.extractor(
            np.pad(samples, (0, 160 * frames - len(samples))),
            sampling_rate=16000,
            padding=False,
            truncation=False,
            return_tensors="pt",
        )["input_features"]
        assert heard.shape[2] == frames
        hidden = gelu(self.encoder.conv2(gelu(self.encoder.conv1(heard)))).transpose(1, 2)
        hidden = hidden + self.encoder.embed_positions.weight[: hidden.shape[1]]
        for layer in self.encoder.layers:
            hidden = layer(hidden, None)
        return self.project(self.encoder.layer_norm(hidden)[0])

    def project(self, hidden: torch.Tensor) -> torch.Tensor:
        held = {
            name.split(".", 1)[1]: weight
            for name, weight in self.weights.items()
            if name.startswith("multi_modal_projector.")
        }

        def normed(x: torch.Tensor, name: str) -> torch.Tensor:
            weight = held.get(f"{name}.weight")
            return x if weight is None else rms_norm(x, weight.shape, weight, 1e-6)

        hidden = pad(hidden, (0, 0, 0, -len(hidden) % STACK)).reshape(-1, STACK * hidden.shape[1])
        value, gate = (normed(hidden, "ln_pre") @ held["linear_1.weight"].T).chunk(2, dim=-1)
        joined = normed(value * silu(gate), "ln_mid")
        return normed(joined @ held["linear_2.weight"].T, "ln_post")

    @torch.inference_mode()
    def inputs(self, prompt: str, samples: np.ndarray | None) -> dict[str, torch.Tensor]:
        turn = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": f"<|audio|>\n{prompt}"}],
            add_generation_prompt=True,
            tokenize=False,
        )
        embed = self.model.get_input_embeddings()
        before, after = (
            embed(self.tokenizer(part, add_special_tokens=False, return_tensors="pt")["input_ids"])
            for part in turn.split("<|audio|>")
        )
        whole = torch.cat([before, self.encode(samples)[None], after], dim=1)
        return {"inputs_embeds": whole, "attention_mask": torch.ones(whole.shape[:2])}
