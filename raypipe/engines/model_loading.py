"""Loading of whole checkpoints; one with weights missing is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from raypipe.engines.families.family import Family
from raypipe.engines.generation_config import end_token_ids
from raypipe.engines.processor_loading import missing_package
from raypipe.errors import EngineError, UnsupportedError


def load_model(family: Family, model_path: str, origin: dict[str, Any], dtype: torch.dtype) -> Any:
    """A checkpoint's model in evaluation mode, with its adapter for clips if it has one.

    Args:
        family: what it is one of.
        model_path: local directory or hub id.
        origin: ``revision`` and ``trust_remote_code``.
        dtype: of the weights.

    Raises:
        EngineError: for a checkpoint with weights missing.
        UnsupportedError: if its adapter, or a package that it needs, is missing.
    """
    try:
        model_class = getattr(transformers, family.architecture)
        model, report = model_class.from_pretrained(
            model_path, **origin, dtype=dtype, attn_implementation="sdpa", output_loading_info=True
        )
        if family.adapter_folder is not None:
            _load_adapter(model, model_path, family.adapter_folder, origin["revision"])
    except ImportError as error:
        raise missing_package(family, error) from error
    # transformers fills missing weights with random numbers and only warns.
    if missing := sorted(report["missing_keys"]):
        raise EngineError(f"{model_path} lacks {len(missing)} weights, first {missing[0]}")
    if getattr(model.config, "has_lora_adapter", False) and not model._hf_peft_config_loaded:
        raise UnsupportedError(f"the adapter of {model_path} for clips needs the package peft")
    return model.eval()


def _load_adapter(model: Any, model_path: str, name: str, revision: str | None) -> None:
    folder = Path(model_path, name)
    if folder.is_dir():
        model.load_adapter(str(folder))
    elif Path(model_path).is_dir():
        # Without it the model would answer as if it had never learnt to take clips.
        raise UnsupportedError(f"{model_path} has no adapter {name}")
    else:
        where = {"subfolder": name, "revision": revision}
        model.load_adapter(model_path, adapter_kwargs=where)


def end_ids(family: Family, generation_config: Any, tokenizer: Any) -> tuple[int, ...]:
    """Every id that ends an answer.

    Raises:
        UnsupportedError: if neither the checkpoint nor its family names one.
    """
    if generation_config.eos_token_id is None and family.end_token is not None:
        return (tokenizer.convert_tokens_to_ids(family.end_token),)
    return end_token_ids(generation_config)
