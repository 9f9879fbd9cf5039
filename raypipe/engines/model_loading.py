"""Loading of checkpoints, weight by weight; one with weights missing is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.utils import is_peft_available

from raypipe.engines.adapters import merge_adapter
from raypipe.engines.families.family import Family
from raypipe.engines.generation_config import end_token_ids, generation_config_of
from raypipe.engines.hub_weights import has_file, weights_folder
from raypipe.engines.processor_loading import missing_package
from raypipe.engines.weight_files import stored_tensors
from raypipe.errors import EngineError, UnsupportedError


def load_model(
    family: Family,
    model_path: str,
    origin: dict[str, Any],
    dtype: torch.dtype,
    device: str,
    adapter: str | None = None,
) -> Any:
    """A checkpoint's model in evaluation mode, with its adapter for clips if it has one.

    Every weight is read, put into its arithmetic and moved to the device by itself: the host's
    memory never holds a second copy, and on a GPU not even a first. On a CPU, weights that are in
    the arithmetic of the file already stay in the file, mapped into memory.

    Args:
        family: what it is one of.
        model_path: local directory or hub id.
        origin: ``revision`` and ``trust_remote_code``.
        dtype: of the weights.
        device: where they go.
        adapter: folder of a LoRA adapter that is merged into the weights; None for none.

    Raises:
        EngineError: for a checkpoint with weights missing, or an adapter that does not fit.
        UnsupportedError: for weights as pickle, or if its adapter, or a package that it needs, is
            missing.
    """
    revision = origin["revision"]
    on_cpu = torch.device(device).type == "cpu"
    kept_dtype = str(dtype).removeprefix("torch.") if on_cpu else None
    folder = weights_folder(model_path, revision)
    model_class = getattr(transformers, family.architecture)
    try:
        model, report = model_class.from_pretrained(
            None,
            config=model_class.config_class.from_pretrained(model_path, revision=revision),
            state_dict=dict(stored_tensors(folder, kept_dtype)),
            generation_config=generation_config_of(model_path, revision),
            dtype=dtype,
            device_map={"": torch.device(device)},
            attn_implementation="sdpa",
            output_loading_info=True,
        )
        _load_own_adapter(model, model_path, revision)
        if family.adapter_folder is not None:
            _load_adapter(model, model_path, family.adapter_folder, revision)
    except ImportError as error:
        raise missing_package(family, error) from error
    # transformers fills missing weights with random numbers and only warns.
    if missing := sorted(report["missing_keys"]):
        raise EngineError(f"{model_path} lacks {len(missing)} weights, first {missing[0]}")
    model = model.to(device)
    if adapter is not None:
        model = merge_adapter(model, family, adapter)
    return model.eval()


def _load_own_adapter(model: Any, model_path: str, revision: str | None) -> None:
    """Load the adapter that lies beside the weights, if there is one."""
    if not has_file(model_path, "adapter_config.json", revision):
        if getattr(model.config, "has_lora_adapter", False):
            raise UnsupportedError(f"{model_path} lacks its adapter for clips")
        return
    if not is_peft_available():
        raise UnsupportedError(f"the adapter of {model_path} needs the package peft")
    model.load_adapter(model_path, adapter_kwargs={"revision": revision})


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
