"""The modules of a model that get low-rank updates, by their full names.

peft takes a bare ``q_proj`` for every module of that name, those of the audio tower included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raypipe.errors import UnsupportedError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from raypipe.finetune.settings import LoraSettings, Projection

_NAMES: dict[Projection, tuple[str, ...]] = {
    "q": ("q_proj",),
    "k": ("k_proj",),
    "v": ("v_proj",),
    "o": ("o_proj", "out_proj"),  # Whisper's encoders call it out_proj
}


def target_modules(model: PreTrainedModel, lora: LoraSettings) -> tuple[str, ...]:
    """Full names of the modules that get updates, in the model's order.

    Args:
        model: a transformers model without updates.
        lora: which are asked for.

    Raises:
        UnsupportedError: if a projection is missing, if nothing is asked for, or if the head is
            asked for and shares its weights with the embeddings.
    """
    names = {module: name for name, module in model.named_modules()}
    language = getattr(model.model, "language_model", model.model)
    targets = list(_projections(names[language], language, lora))
    if lora.audio_tower:
        tower = getattr(model.model, "audio_tower", None)
        if tower is None:
            raise UnsupportedError("lora.audio_tower: the model has no audio tower")
        targets += _projections(names[tower], tower, lora)
    if lora.head:
        head = model.get_output_embeddings()
        refuse_tied_head(model)
        targets.append(names[head])
    if not targets:
        raise UnsupportedError("lora: names no projection and no head, so nothing would be learnt")
    return tuple(name for name in names.values() if name in set(targets))


def refuse_tied_head(model: PreTrainedModel) -> None:
    """Refuse updates of a head whose weights are the embeddings, too: merged, they change both.

    Raises:
        UnsupportedError: saying what to do.
    """
    embeddings = model.get_input_embeddings()
    if model.get_output_embeddings().weight is embeddings.weight:
        raise UnsupportedError(
            "the model's head shares its weights with its embeddings, which an update of the head "
            "would change, too: say lora: {head: false}"
        )


def _projections(prefix: str, part: nn.Module, lora: LoraSettings) -> list[str]:
    """Full names of the asked projections in the self-attention of a part of the model."""
    last_names = {name: projection for projection in _NAMES for name in _NAMES[projection]}
    targets, seen = [], set()
    for name, _ in part.named_modules():
        projection = last_names.get(name.rpartition(".")[2])
        if projection in lora.projections and ".self_attn." in f".{name}":
            targets.append(f"{prefix}.{name}")
            seen.add(projection)
    missing = [projection for projection in lora.projections if projection not in seen]
    if missing:
        raise UnsupportedError(f"{prefix} has no {', '.join(_NAMES[missing[0]])} in self_attn")
    return targets
