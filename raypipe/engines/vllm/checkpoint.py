"""What a checkpoint says of itself, read before vLLM is started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import AutoConfig, GenerationConfig

from raypipe.engines.families import Family
from raypipe.engines.model_input import InputLimits, PromptLimits
from raypipe.errors import ConfigError

_ULTRAVOX = "UltravoxModel"


def load_config(family: Family, model_path: str, origin: Mapping[str, Any]) -> Any:
    """The checkpoint's config, as a class of transformers' or, if that has none, of vLLM's.

    Args:
        family: its family.
        model_path: local directory or hub id.
        origin: ``revision`` and ``trust_remote_code``.

    Raises:
        ConfigError: if vLLM would start for this family with code that may not be run.
    """
    if family.architecture != _ULTRAVOX:
        return AutoConfig.from_pretrained(model_path, **origin)
    if not origin["trust_remote_code"]:
        raise ConfigError(
            f"{model_path}: vLLM starts {family.name} with the processor that comes as code with "
            "the checkpoint; set model.trust_remote_code once you have read it"
        )
    from vllm.transformers_utils.config import get_config

    return get_config(model_path, **origin)


def limits_of(family: Family, config: Any) -> InputLimits | PromptLimits:
    """The limits that a checkpoint's config sets."""
    if family.architecture != _ULTRAVOX:
        return InputLimits.of(config)
    return PromptLimits(
        vocabulary=config.text_config.vocab_size,
        audio_token_id=config.audio_token_index,
        max_positions=config.text_config.max_position_embeddings,
    )


def generation_config_of(model_path: str, revision: str | None, config: Any) -> GenerationConfig:
    """The checkpoint's, or what transformers makes of its config if it has none."""
    try:
        return GenerationConfig.from_pretrained(model_path, revision=revision)
    except OSError:
        return GenerationConfig.from_model_config(config)
