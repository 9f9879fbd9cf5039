"""Faults of a checkpoint that its small files and the sizes of the large ones tell.

Found before torch or transformers is imported, before Ray starts and before weights are loaded;
each is one line that says what is wrong and, where that is known, what to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from raypipe.engines.adapters import adapter_faults
from raypipe.engines.checkpoint_files import (
    INDEX,
    WEIGHTS,
    CheckpointFiles,
    checkpoint_files,
    json_file,
    weight_files,
    without_weights,
)
from raypipe.engines.families import family_of, named_architectures
from raypipe.engines.generation_config import penalty_fault, refusal_of, unwanted_fields
from raypipe.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from raypipe.engines.engine import ModelSettings
    from raypipe.engines.families.family import Family

_TOKENIZERS = (
    *("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"),
    *("tekken.json", "spiece.model", "sentencepiece.bpe.model"),
)
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_TEMPLATES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates")
_EXTRACTORS = ("feature_extractor", "audio_processor")
_SMALL = ("generation_config.json", "tokenizer_config.json", *_PROCESSORS)
_LONGEST_HEADER = 100_000_000
"""Bytes of the longest header that the safetensors library reads."""


def checkpoint_faults(settings: ModelSettings, engine: str) -> Iterator[str]:
    """What is wrong with a checkpoint, one line each; the first one is what to begin with.

    Args:
        settings: of the model.
        engine: that is to decode it.
    """
    try:
        files = checkpoint_files(settings.path, settings.revision)
        if "config.json" not in files.names:
            yield _without_config(files)
            return
        config = json_file(files, "config.json")
        family = family_of("it", named_architectures(config), engine)
    except (ConfigError, UnsupportedError) as error:
        yield str(error)
        return
    yield from _faults_of_small_files(files, family)
    if not settings.ignore_generation_config:
        takes_penalty = settings.penalties == "checkpoint"
        yield from _faults_of_generation_config(files, config, takes_penalty=takes_penalty)
    if engine == "transformers" and "quantization_config" in config:
        yield _quantized(config["quantization_config"])
    yield from weight_faults(files, needs_index=engine == "transformers")
    folder = family.adapter_folder
    if folder is not None and not any(name.split("/")[0] == folder for name in files.names):
        # Without it the model would answer as if it had never learnt to take clips.
        yield f"no adapter {folder} in {files.where}"
    if settings.adapter is not None:
        yield from adapter_faults(settings.adapter, settings)


def tokenizer_faults(path: str) -> Iterator[str]:
    """What is wrong with a tokenizer without a model, one line each.

    Args:
        path: folder or hub id.
    """
    try:
        files = checkpoint_files(path, None)
    except ConfigError as error:
        yield str(error)
        return
    yield from _faults_of_tokenizer(files)


def weight_faults(files: CheckpointFiles, *, needs_index: bool = True) -> Iterator[str]:
    """What is wrong with the weight files of a checkpoint, one line each.

    Args:
        files: of the checkpoint.
        needs_index: several files without an index are refused.
    """
    try:
        weights = weight_files(files)
    except ConfigError as error:
        yield str(error)
        return
    if not weights:
        yield without_weights(files)
        return
    missing = [name for name in weights if files.size(name) is None and name not in files.names]
    if missing:
        yield (
            f"{len(missing)} of the {len(weights)} weight files that its index names are not in "
            f"{files.where}, first {missing[0]}: the download is not complete"
        )
    if needs_index and not {WEIGHTS, INDEX} & files.names:
        yield f"no {WEIGHTS} and no {INDEX} in {files.where}, only {', '.join(weights[:2])}"
    on_this_machine = [(name, files.on_this_machine(name)) for name in weights]
    faults = [
        f"{name} {fault}"
        for name, file in on_this_machine
        if file is not None and (fault := _fault_of_weights(file)) is not None
    ]
    if faults:
        more = f" (one of {len(faults)} such files)" if len(faults) > 1 else ""
        yield faults[0] + more


def _faults_of_small_files(files: CheckpointFiles, family: Family) -> Iterator[str]:
    documents = {}
    for name in _SMALL:
        if name in files.names:
            try:
                documents[name] = json_file(files, name)
            except ConfigError as error:
                yield str(error)
    yield from _faults_of_tokenizer(files)
    yield from _faults_of_jinja(files)
    if family.processor is not None:
        yield from _faults_of_processor(files, documents)
    else:
        yield from _faults_of_template(files, documents)


def _faults_of_template(
    files: CheckpointFiles, documents: Mapping[str, Mapping[str, object]]
) -> Iterator[str]:
    """Of a family without a processor; some processors bring a template of their own."""
    holder = "tokenizer_config.json"
    tops = {name.split("/")[0] for name in files.names}
    is_broken = holder in files.names and holder not in documents
    if tops.intersection(_TEMPLATES) or is_broken:
        return
    if not documents.get(holder, {}).get("chat_template"):
        yield (
            f"no chat template in {files.where} ({_TEMPLATES[0]}, {_TEMPLATES[1]} or chat_template "
            f"in {holder}): is it a base model?"
        )


def _faults_of_generation_config(
    files: CheckpointFiles, config: Mapping[str, object], *, takes_penalty: bool
) -> Iterator[str]:
    """Of the file, or of the model's config, where older checkpoints have it."""
    name = "generation_config.json"
    try:
        asked = json_file(files, name) if name in files.names else config
    except ConfigError:
        return  # told with the other small files
    if unwanted := unwanted_fields(asked):
        yield refusal_of(unwanted)
    if takes_penalty and (fault := penalty_fault(asked)) is not None:
        yield fault


def _quantized(section: object) -> str:
    method = section.get("quant_method") if isinstance(section, dict) else None
    return (
        f"its weights are quantized ({method or 'quantization_config'}), which this engine does "
        "not read: take the checkpoint that they were made of"
    )


def _faults_of_jinja(files: CheckpointFiles) -> Iterator[str]:
    """Of a chat template's syntax; what it makes of a turn is tried once a tokenizer is loaded."""
    name = _TEMPLATES[0]
    if name not in files.names:
        return
    # transformers knows one tag more, which marks what a model is trained to say.
    text = re.sub(
        r"{%-?\s*(end)?generation\s*-?%}", "", files.file(name).read_text(errors="replace")
    )
    try:
        jinja2.Environment(extensions=["jinja2.ext.loopcontrols"]).parse(text)
    except jinja2.TemplateSyntaxError as error:
        yield f"{name} is no template: {error.message}, line {error.lineno}"


def _faults_of_tokenizer(files: CheckpointFiles) -> Iterator[str]:
    if not files.names.intersection(_TOKENIZERS):
        yield f"no tokenizer in {files.where} ({', '.join(_TOKENIZERS[:3])} …)"
    if _TOKENIZERS[0] in files.names:
        try:
            if "model" not in json_file(files, _TOKENIZERS[0]):
                yield f"{_TOKENIZERS[0]} holds no tokenizer"
        except ConfigError as error:
            yield str(error)


def _faults_of_processor(
    files: CheckpointFiles, documents: Mapping[str, Mapping[str, object]]
) -> Iterator[str]:
    """Of its feature extractor, in a file of its own or in the processor's."""
    own, whole = _PROCESSORS
    named = documents.get(whole, {})
    if own in files.names or any(name in named for name in _EXTRACTORS):
        return
    if whole not in files.names:
        yield f"no {own} or {whole} in {files.where}: no clip can be made ready"
    elif whole in documents:
        yield f"no {own} in {files.where}, and {whole} has no {_EXTRACTORS[0]}"


def _without_config(files: CheckpointFiles) -> str:
    text = f"no config.json in {files.where}"
    if "adapter_config.json" in files.names:
        return f"{text}, but an adapter's: merge it into its base model and save that"
    if any(name.endswith(".gguf") for name in files.names):
        return f"{text}, but GGUF files, which raypipe does not read"
    below = sorted(
        name for name in files.names if files.on_this_machine(f"{name}/config.json") is not None
    )
    if below:
        return f"{text}; {below[0]} in it has one"
    return f"{text}: it is no checkpoint as transformers saves it"


def _fault_of_weights(file: Path) -> str | None:
    """What is wrong with a safetensors file, by its header and size; None for nothing."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        if start.startswith(b"version"):
            return "is a Git LFS pointer, not the weights: git lfs pull fetches them"
        length = int.from_bytes(start, "little")
        if size < 8 or (0 < length <= _LONGEST_HEADER and 8 + length > size):
            return f"is truncated at {size} bytes: fetch it again"
        if not 0 < length <= _LONGEST_HEADER:
            return "is no safetensors file: it has no header"
        try:
            header = json.loads(stream.read(length))
            tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
            end = max((int(tensor["data_offsets"][1]) for tensor in tensors), default=0)
        except (ValueError, AttributeError, KeyError, TypeError):
            return "is no safetensors file: its header cannot be read"
    whole = 8 + length + end
    if size < whole:
        return f"is truncated: {size} of {whole} bytes; fetch it again"
    return None if size == whole else f"has {size - whole} bytes too many: fetch it again"
