"""A model with low-rank updates beside its frozen weights, made by peft."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from raypipe.engines.adapters import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    BASE_RECORD,
    base_digest,
    require_peft,
)
from raypipe.engines.families import family_of
from raypipe.engines.lazy import load_object
from raypipe.engines.model_loading import load_model
from raypipe.errors import UnsupportedError
from raypipe.finetune.encoding import IGNORED, EncodedExample
from raypipe.finetune.loss import loss_sum
from raypipe.finetune.settings import LoraSettings
from raypipe.finetune.targets import target_modules

if TYPE_CHECKING:
    from raypipe.engines.decoder_adapter import DecoderAdapter

_KEPT_BYTES = 1 << 30
"""Of encoded clips, which frozen encoders need not encode again."""


class LoraModel:
    """A model of a family that the tree decoder takes, with LoRA as peft has it.

    Clips are encoded and prompts embedded by the same code as at inference. The updates are in
    float32 whatever the arithmetic of the weights.

    Args:
        path: checkpoint: a folder or hub id.
        revision: commit of a hub id.
        lora: which modules get updates.
        seed: of their first matrices.
        name: of the checkpoint in the adapter's files; None for its path.
        device: where the model goes.
        dtype: of the frozen weights.
        gradient_checkpointing: compute layers twice and keep less in memory.
        trust_remote_code: run code that comes with the checkpoint.

    Raises:
        UnsupportedError: for a family that cannot be fine-tuned here, or without peft.
    """

    def __init__(
        self,
        path: str,
        revision: str | None,
        lora: LoraSettings,
        *,
        seed: int,
        name: str | None = None,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        gradient_checkpointing: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        require_peft()
        import peft
        from transformers import AutoConfig

        origin = {"revision": revision, "trust_remote_code": trust_remote_code}
        config = AutoConfig.from_pretrained(path, **origin)
        self.family = family_of(path, config.architectures, "transformers")
        if self.family.decoder != "tree" or self.family.has_clip_adapter:
            raise UnsupportedError(
                f"{self.family.name} is not fine-tuned here: it is decoded by its own forward "
                "pass, or has an adapter of its own for clips"
            )
        base = load_model(self.family, path, origin, dtype, device)
        self._is_encoder_frozen = not lora.audio_tower
        settings = peft.LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=list(target_modules(base, lora)),
            bias="none",
        )
        settings.revision = revision
        base.name_or_path = name or path  # peft writes it into the adapter's config
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.peft_model = peft.get_peft_model(base, settings)
        self._base, self._record = (
            base,
            {"path": name or path, "weights": base_digest(path, revision)},
        )
        self._parts: DecoderAdapter = load_object(self.family.adapter)(base)
        self._head = base.get_output_embeddings()
        self._dropout = lora.dropout
        if gradient_checkpointing:
            base.gradient_checkpointing_enable({"use_reentrant": False})
            # Embeddings are filled with the clip in place, and need no gradient this way.
            base.disable_input_require_grads()
        self._encoded: dict[str, Tensor] = {}
        self._left = _KEPT_BYTES
        self.parameters: Mapping[str, torch.nn.Parameter] = {
            name: parameter
            for name, parameter in self.peft_model.named_parameters()
            if parameter.requires_grad
        }

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._parts.device

    def arithmetic(self) -> AbstractContextManager[object]:
        """Context of a forward pass: bfloat16 products on a GPU, the weights' own on a CPU."""
        if self.device.type == "cpu":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def train(self, on: bool) -> None:
        """Switch dropout and checkpointing of the language model on or off."""
        self._parts.language_model.train(on)
        self._head.train(on)

    def loss_sum(self, examples: Sequence[EncodedExample]) -> Tensor:
        """Cross entropy of all target tokens of some examples, a sum, in nats.

        Examples are padded on the right, out of the sight of causal attention.

        Args:
            examples: read together.
        """
        inputs = [example.model_input for example in examples]
        for model_input in inputs:
            self._parts.limits.check(model_input, 0)
        with self.arithmetic():
            embeddings, _ = self._parts.embed(inputs, [self._encode(row) for row in examples])
            width = embeddings.shape[1]
            labels = torch.full((len(examples), width), IGNORED)
            for row, example in enumerate(examples):
                labels[row, : len(example.labels)] = torch.from_numpy(example.labels)
            hidden = self._parts.language_model(
                inputs_embeds=embeddings,
                position_ids=torch.arange(width, device=self.device)[None],
                use_cache=False,
            ).last_hidden_state
            # A token is predicted at the position before it; only those meet the vocabulary.
            rows, places = torch.nonzero(labels[:, 1:] != IGNORED, as_tuple=True)
            targets = labels[rows, places + 1].to(self.device)
            logits = self._head(hidden[rows.to(self.device), places.to(self.device)])
        return loss_sum(logits, targets)

    def state(self) -> dict[str, Tensor]:
        """Copies of the updates' matrices on the CPU, by name."""
        return {name: value.detach().cpu().clone() for name, value in self.parameters.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over the matrices of :meth:`state`."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(state[name])

    def save(self, folder: Path) -> None:
        """Write the updates as a peft adapter, and beside it which weights they belong to."""
        # "auto" would ask the hub whether the vocabulary has grown.
        self.peft_model.save_pretrained(str(folder), save_embedding_layers=False)
        assert (folder / ADAPTER_WEIGHTS).is_file()
        # peft writes a set, in another order in every process.
        config = json.loads((folder / ADAPTER_CONFIG).read_bytes())
        config["target_modules"] = sorted(config["target_modules"])
        (folder / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        (folder / BASE_RECORD).write_text(json.dumps(self._record, indent=2) + "\n")

    def _encode(self, example: EncodedExample) -> Tensor:
        """Audio embeddings of an example's clip, each encoded by itself, so always the same."""
        if not self._is_encoder_frozen:
            return self._parts.encode([example.model_input])[0]
        name = example.clip
        if name not in self._encoded:
            with torch.no_grad():
                (encoded,) = self._parts.encode([example.model_input])
            size = encoded.numel() * encoded.element_size()
            if size > self._left:
                return encoded
            self._left -= size
            self._encoded[name] = encoded.clone()
        return self._encoded[name]
