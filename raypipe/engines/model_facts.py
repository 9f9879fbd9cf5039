"""What a checkpoint's small files tell of it, in words, and its size where there are no weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from raypipe.engines.checkpoint_files import checkpoint_files, json_file
from raypipe.engines.families import family_of, named_architectures
from raypipe.engines.generation_config import generation_config_of, penalties_of
from raypipe.engines.memory import BYTES, stored_dtype
from raypipe.engines.processor_loading import in_one_line
from raypipe.errors import UnsupportedError

if TYPE_CHECKING:
    from raypipe.engines.engine import ModelSettings
    from raypipe.engines.families.family import Family


def checkpoint_facts(settings: ModelSettings, engine: str) -> Mapping[str, str]:
    """Family, architecture, decoder, stored precision of a checkpoint, and its search's penalty.

    Args:
        settings: of the model.
        engine: that is to decode it.

    Raises:
        ConfigError: if its files cannot be read.
        UnsupportedError: if the engine does not decode it.
    """
    config, family = _config_and_family(settings, engine)
    return {
        "family": family.name,
        "architecture": family.architecture,
        "decoder": "vLLM" if engine == "vllm" else _decoder(settings, family),
        "stored in": stored_dtype(config),
        "penalty": _penalty(settings),
    }


def counted_weight_bytes(settings: ModelSettings, engine: str, dtype: str) -> int:
    """Bytes of the weights that a checkpoint's config describes, whether or not they are there.

    The model is made without memory behind it, which takes seconds.

    Args:
        settings: of the model.
        engine: that is to decode it.
        dtype: arithmetic of the weights.

    Raises:
        ConfigError: if its config describes no model.
    """
    import torch
    import transformers

    _, family = _config_and_family(settings, engine)
    with in_one_line(settings.path, "its config describes no model"), torch.device("meta"):
        config = transformers.AutoConfig.from_pretrained(settings.path, revision=settings.revision)
        # Of an omni model that also speaks, the part that listens and writes.
        config = getattr(config, "thinker_config", config)
        model = getattr(transformers, family.architecture)(config)
    count: int = sum(parameter.numel() for parameter in model.parameters())
    return count * BYTES[dtype]


def _config_and_family(settings: ModelSettings, engine: str) -> tuple[Mapping[str, object], Family]:
    config = json_file(checkpoint_files(settings.path, settings.revision), "config.json")
    return config, family_of(settings.path, named_architectures(config), engine)


def _penalty(settings: ModelSettings) -> str:
    ignore = settings.ignore_generation_config
    generation_config = generation_config_of(settings.path, settings.revision)
    applied = penalties_of(generation_config, settings.penalties, ignore=ignore)
    if not applied.any:
        return "none"
    by = "the checkpoint" if settings.penalties == "checkpoint" else "the run"
    return f"repetition_penalty {applied.repetition:g}, asked for by {by}"


def _decoder(settings: ModelSettings, family: Family) -> str:
    """The decoder that the engine will choose.

    Raises:
        UnsupportedError: for a variant that no decoder reproduces.
    """
    if family.decoder != "tree":
        return "plain, one utterance at a time"
    from transformers import AutoConfig

    from raypipe.engines.decoder_adapter import require_plain_attention

    with in_one_line(settings.path, "its config describes no model"):
        config = AutoConfig.from_pretrained(settings.path, revision=settings.revision)
    try:
        require_plain_attention(config.get_text_config())
    except UnsupportedError as error:
        if not family.plain_fallback:
            raise
        return f"plain, one utterance at a time: {error}"
    return "tree"
