"""Config and limits of a checkpoint, read before vLLM is started."""

from __future__ import annotations

from collections.abc import Mapping

from transformers import PreTrainedConfig

from raypipe.engines.families.family import Family, VllmSupport
from raypipe.engines.model_input import InputLimits, PromptLimits
from raypipe.errors import ConfigError


def load_config(family: Family, model_path: str, origin: Mapping[str, object]) -> PreTrainedConfig:
    """The checkpoint's config, as a class of transformers' or, if that has none, of vLLM's.

    Args:
        family: its family.
        model_path: local directory or hub id.
        origin: ``revision`` and ``trust_remote_code``.

    Raises:
        ConfigError: if vLLM would start for this family with code that may not be run.
    """
    if family.needs_trust_remote_code and not origin["trust_remote_code"]:
        raise ConfigError(
            f"{model_path}: vLLM starts {family.name} with the processor that comes as code with "
            "the checkpoint; set model.trust_remote_code once you have read it"
        )
    return _support(family).load_config(model_path, origin)


def limits_of(family: Family, config: PreTrainedConfig) -> InputLimits | PromptLimits:
    """The limits that a checkpoint's config sets."""
    return _support(family).limits(config)


def _support(family: Family) -> VllmSupport:
    assert family.vllm is not None  # the frontend took no other family
    return family.vllm
