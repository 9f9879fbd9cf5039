"""LoRA adapters as peft writes them: what is wrong with one, and merging it into a model."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raypipe.engines.checkpoint_files import (
    FolderFiles,
    checkpoint_files,
    json_file,
    weight_files,
)
from raypipe.engines.fingerprint import files_digest
from raypipe.engines.once_per_node import cache_folder, node_lock, short_name
from raypipe.errors import ConfigError, EngineError, UnsupportedError
from raypipe.installation import install_hint

if TYPE_CHECKING:
    from raypipe.engines.engine import ModelSettings
    from raypipe.engines.families.family import Family

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
BASE_RECORD = "base.json"
"""Beside an adapter that was trained here: the weights that it belongs to."""

_ENCODERS = ("audio_tower", "audio_encoder", "encoder")
_MERGED = "merged"


def adapter_faults(adapter: str, settings: ModelSettings) -> Iterator[str]:
    """What is wrong with an adapter for a model, one line each, from headers and small files.

    Args:
        adapter: its folder.
        settings: of the model.
    """
    folder = Path(adapter)
    try:
        yield from _faults_of_files(folder)
        if not (folder / ADAPTER_CONFIG).is_file() or not (folder / ADAPTER_WEIGHTS).is_file():
            return
        yield from _faults_of_base(folder, settings)
        yield from _faults_of_shapes(folder, settings)
    except (ConfigError, EngineError) as error:
        yield f"adapter {folder}: {error}"


def _faults_of_files(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        yield f"adapter {folder}: no such folder"
        return
    if not (folder / ADAPTER_CONFIG).is_file():
        below = sorted(path.parent.name for path in folder.glob(f"*/{ADAPTER_CONFIG}"))
        hint = f"; did you mean {folder / below[0]}?" if below else ", so it is no peft adapter"
        yield f"adapter {folder}: has no {ADAPTER_CONFIG}{hint}"
        return
    if not (folder / ADAPTER_WEIGHTS).is_file():
        yield f"adapter {folder}: has no {ADAPTER_WEIGHTS}; pickles are not loaded"
        return
    kind = json_file(FolderFiles(folder), ADAPTER_CONFIG).get("peft_type")
    if kind != "LORA":
        yield f"adapter {folder}: is a {kind} of peft; LoRA can be merged, others are not"
    require_peft()


def require_peft() -> None:
    """Refuse to go on without peft.

    Raises:
        UnsupportedError: naming the extra that brings it.
    """
    if importlib.util.find_spec("peft") is None:
        raise UnsupportedError(f"adapters need the package peft: {install_hint('finetune')}")


def _faults_of_base(folder: Path, settings: ModelSettings) -> Iterator[str]:
    """That an adapter trained here belongs to other weights, as far as these are at hand."""
    recorded, files = _record(folder), _weights_here(settings)
    if recorded is not None and files and _digest_of(files) != recorded.get("weights"):
        yield (
            f"adapter {folder}: was trained on other weights than those of model.path, on "
            f"{recorded.get('path')}"
        )


def _record(folder: Path) -> Mapping[str, object] | None:
    files = FolderFiles(folder)
    return json_file(files, BASE_RECORD) if BASE_RECORD in files.names else None


def base_digest(path: str, revision: str | None) -> str:
    """Digest of a checkpoint's weights, wherever they lie.

    Args:
        path: folder or hub id; weights of the hub are fetched if they are not here.
        revision: commit of a hub id.
    """
    from raypipe.engines.hub_weights import weights_folder

    folder = weights_folder(path, revision)
    return _digest_of([folder / name for name in weight_files(FolderFiles(folder))])


def _digest_of(files: Sequence[Path]) -> str:
    return short_name("\n".join(files_digest(str(file), None) for file in files))


def _weights_here(settings: ModelSettings) -> list[Path] | None:
    """The model's weight files; None if some are not on this machine yet."""
    files = checkpoint_files(settings.path, settings.revision)
    places = [files.on_this_machine(name) for name in weight_files(files)]
    here = [place for place in places if place is not None]
    return here if len(here) == len(places) else None


def _faults_of_shapes(folder: Path, settings: ModelSettings) -> Iterator[str]:
    """That a module of the adapter is none of the model's, or of another size."""
    shapes = _shapes(folder / ADAPTER_WEIGHTS)
    ends = (".lora_A.weight", ".lora_B.weight")
    modules = sorted(
        {name.removesuffix(end) for name in shapes for end in ends if name.endswith(end)}
    )
    if not modules:
        yield f"adapter {folder}: {ADAPTER_WEIGHTS} holds no LoRA matrices"
        return
    files = _weights_here(settings)
    if files is None:
        return  # told when they are loaded
    stored: dict[str, tuple[int, ...]] = {}
    for file in files:
        stored |= _shapes(file)
    for module in modules:
        a, b = (shapes.get(module + end) for end in ends)
        wanted = None if a is None or b is None else (b[0], a[1])
        same_name = [shape for name, shape in stored.items() if _are_alike(name, module)]
        if wanted not in same_name:
            name = module.removeprefix("base_model.model.")
            has = f"is {same_name[0]} in it" if same_name else "is not in it"
            yield f"adapter {folder}: does not fit the model: {name}, {wanted} here, {has}"
            return


def _are_alike(stored: str, module: str) -> bool:
    """Whether a stored weight can be that of a module; files have other prefixes than modules."""
    stored, weight, _ = stored.rpartition(".weight")
    parts, named = stored.split("."), module.split(".")
    if not weight or _is_encoder(parts) != _is_encoder(named):
        return False
    last = named[named.index("layers") :] if "layers" in named else named[-1:]
    return parts[-len(last) :] == last


def _is_encoder(parts: list[str]) -> bool:
    return any(part in _ENCODERS for part in parts)


def _shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of a safetensors file, from its header.

    Raises:
        ConfigError: if it is no whole one.
    """
    try:
        with file.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        return {
            name: tuple(tensor["shape"])
            for name, tensor in header.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError) as error:
        raise ConfigError(f"{file.name} is no safetensors file: {error}") from error


def merge_adapter(model: Any, family: Family, adapter: str) -> Any:
    """The same model with an adapter's updates added to its weights.

    Args:
        model: a transformers model on its device.
        family: what it is one of.
        adapter: folder of the adapter.

    Raises:
        UnsupportedError: for a family with an adapter of its own, and for an update of a head
            whose weights are the embeddings, too.
        EngineError: if not every matrix of the adapter has its place in the model.
    """
    import peft
    from safetensors import safe_open

    if family.has_clip_adapter:
        raise UnsupportedError(f"{family.name} has an adapter of its own; a second is not merged")
    head = model.get_output_embeddings()
    tied = head is not None and head.weight is model.get_input_embeddings().weight
    updated = peft.PeftModel.from_pretrained(model, adapter, torch_device=str(model.device))
    with safe_open(Path(adapter, ADAPTER_WEIGHTS), framework="pt") as file:
        stored = set(file.keys())
    loaded = set(peft.get_peft_model_state_dict(updated, save_embedding_layers=False))
    if stored != loaded:
        odd = sorted(stored ^ loaded)
        raise EngineError(f"adapter {adapter}: {len(odd)} matrices do not fit, first {odd[0]}")
    if tied and any(".lm_head." in f".{name}." for name in loaded):
        raise UnsupportedError(
            f"adapter {adapter}: updates the head, whose weights are the embeddings, too: merged, "
            "it would change both"
        )
    return updated.merge_and_unload(safe_merge=True)


def merged_checkpoint(settings: ModelSettings) -> Path:
    """Folder of a model with its adapter merged into the weights, made once on this machine.

    For back ends that load checkpoints by themselves. It lies in raypipe's cache under a name that
    is made of both contents and of the arithmetic.

    Args:
        settings: of a model with an adapter.

    Raises:
        UnsupportedError: for a family that transformers has no class for, or as
            :func:`merge_adapter`.
        EngineError: as :func:`merge_adapter`.
    """
    import torch
    from transformers import AutoConfig

    from raypipe.engines.families import family_of
    from raypipe.engines.hub_weights import weights_folder
    from raypipe.engines.model_loading import load_model

    assert settings.adapter is not None
    origin = {"revision": settings.revision, "trust_remote_code": settings.trust_remote_code}
    config = AutoConfig.from_pretrained(settings.path, **origin)
    family = family_of(settings.path, config.architectures, "transformers")
    base = weights_folder(settings.path, settings.revision)
    digests = [files_digest(str(base), None), files_digest(settings.adapter, None), settings.dtype]
    folder = cache_folder() / _MERGED / short_name("\n".join(digests))
    with node_lock(str(folder)):
        if not folder.is_dir():
            dtype = getattr(torch, settings.dtype)
            model = load_model(family, settings.path, origin, dtype, "cpu", settings.adapter)
            unfinished = folder.with_name(f".{folder.name}")
            shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
            model.save_pretrained(str(unfinished))
            _copy_small_files(base, unfinished)
            unfinished.rename(folder)
    return folder


def _copy_small_files(base: Path, folder: Path) -> None:
    """Copy config, tokenizer, processor and template as they are; the weights are the merged."""
    weights = {*weight_files(FolderFiles(base))}
    for file in base.iterdir():
        if file.is_file() and file.name not in weights and ".safetensors" not in file.name:
            shutil.copyfile(file, folder / file.name)
