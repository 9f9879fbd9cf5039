"""What small files and the sizes of large ones tell, for the bundled model with one thing wrong."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from raypipe.engines.checkpoint_faults import checkpoint_faults, tokenizer_faults
from raypipe.engines.engine import ModelSettings
from raypipe.tiny_alm import checkpoint_path

Spoil = Callable[[Path], object]
"""Does something to a checkpoint."""

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint_path(), tmp_path / "tiny"))


def faults(path: Path | str, engine: str = "transformers") -> list[str]:
    settings = ModelSettings(str(path), None, None, "auto", "auto", trust_remote_code=False)
    return [*checkpoint_faults(settings, engine)]


def without(*names: str) -> Spoil:
    def remove(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return remove


def with_text(name: str, text: str) -> Spoil:
    return lambda folder: (folder / name).write_text(text)


def changed(name: str, **values: object) -> Spoil:
    def change(folder: Path) -> None:
        document = json.loads((folder / name).read_text())
        document |= values
        document = {key: value for key, value in document.items() if value is not None}
        (folder / name).write_text(json.dumps(document))

    return change


def cut(name: str, size: int) -> Spoil:
    def truncate(folder: Path) -> None:
        with (folder / name).open("r+b") as file:
            file.truncate(size)

    return truncate


def renamed(old: str, new: str) -> Spoil:
    return lambda folder: (folder / old).rename(folder / new)


def sharded(*kept: int, of: int = 3) -> Spoil:
    """Weights in several files of one number each, of which only some are there."""

    def split(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        names = [f"model-{number:05}-of-{of:05}.safetensors" for number in range(1, of + 1)]
        weight_map = {f"weight{number}": name for number, name in enumerate(names)}
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
        for number in kept:
            (folder / names[number]).write_bytes(safetensors(4))

    return split


def safetensors(size: int, **tensor: object) -> bytes:
    header = {"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size], **tensor}}
    text = json.dumps({"__metadata__": {}} | header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


def with_bytes(name: str, data: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(data)


BUNDLED_BYTES = (checkpoint_path() / WEIGHTS).stat().st_size

CASES: dict[str, tuple[Spoil, str]] = {
    "no config.json": (
        without("config.json"),
        "no config.json in the folder: it is no checkpoint as transformers saves it",
    ),
    "a broken config.json": (
        with_text("config.json", '{"architectures": ['),
        "config.json is not JSON: Expecting value: line 1 column 20 (char 19)",
    ),
    "a config.json that is a list": (
        with_text("config.json", "[]"),
        "config.json holds no JSON object",
    ),
    "no architecture": (
        changed("config.json", architectures=None),
        "it is a model without a named architecture; the transformers engine decodes "
        "AudioFlamingo3ForConditionalGeneration, …",
    ),
    "a broken generation config": (
        with_text("generation_config.json", "{"),
        "generation_config.json is not JSON: Expecting property name enclosed in double quotes: …",
    ),
    "no tokenizer": (
        without("tokenizer.json"),
        "no tokenizer in the folder (tokenizer.json, tokenizer.model, vocab.json …)",
    ),
    "a tokenizer that was cut": (cut("tokenizer.json", 1000), "tokenizer.json is not JSON: …"),
    "a tokenizer that is none": (
        with_text("tokenizer.json", "{}"),
        "tokenizer.json holds no tokenizer",
    ),
    "no processor": (
        without("processor_config.json"),
        "no preprocessor_config.json or processor_config.json in the folder: no clip can be made "
        "ready",
    ),
    "a processor without an extractor": (
        changed("processor_config.json", feature_extractor=None),
        "no preprocessor_config.json in the folder, and processor_config.json has no "
        "feature_extractor",
    ),
    "a generation config that the search does not follow": (
        changed("generation_config.json", no_repeat_ngram_size=3),
        "the checkpoint's generation config asks for no_repeat_ngram_size=3, which raypipe's "
        "search does not apply; to search without, add ignore_generation_config: true under model",
    ),
    "the same in the config, as older ones have it": (
        lambda folder: (
            without("generation_config.json")(folder),
            changed("config.json", min_length=4)(folder),
        ),
        "the checkpoint's generation config asks for min_length=4, …",
    ),
    "a chat template that is none": (
        with_text("chat_template.jinja", "{% for %}"),
        "chat_template.jinja is no template: Expected an expression, got 'end of statement block'"
        ", line 1",
    ),
    "a penalty that is none": (
        changed("generation_config.json", repetition_penalty=-1.1),
        "the checkpoint's generation config has repetition_penalty=-1.1, which is no finite number "
        "above 0; to search without, add penalties: none under decoding",
    ),
    "a penalty that is a text": (
        changed("generation_config.json", repetition_penalty="1.1"),
        "the checkpoint's generation config has repetition_penalty='1.1', which is no finite "
        "number above 0; to search without, add penalties: none under decoding",
    ),
    "scores that are normalised again": (
        changed("generation_config.json", renormalize_logits=True),
        "the checkpoint's generation config asks for renormalize_logits=True, which raypipe's "
        "search does not apply; to search without, add ignore_generation_config: true under model",
    ),
    "quantized weights": (
        changed("config.json", quantization_config={"quant_method": "gptq", "bits": 4}),
        "its weights are quantized (gptq), which this engine does not read: take the checkpoint "
        "that they were made of",
    ),
    "no weights": (without(WEIGHTS), "no weights (*.safetensors) in the folder"),
    "pickle weights": (
        renamed(WEIGHTS, "pytorch_model.bin"),
        "pickle weights (pytorch_model.bin) are refused, they can run any code when they are "
        "loaded; save as safetensors: load them once with transformers and save_pretrained()",
    ),
    "weights under another name": (
        renamed(WEIGHTS, "weights.safetensors"),
        f"no {WEIGHTS} and no {INDEX} in the folder, only weights.safetensors",
    ),
    "truncated weights": (
        cut(WEIGHTS, 1 << 20),
        f"{WEIGHTS} is truncated: 1048576 of {BUNDLED_BYTES} bytes; fetch it again",
    ),
    "weights that were hardly begun": (
        cut(WEIGHTS, 100),
        f"{WEIGHTS} is truncated at 100 bytes: fetch it again",
    ),
    "empty weights": (cut(WEIGHTS, 0), f"{WEIGHTS} is truncated at 0 bytes: fetch it again"),
    "weights with something behind": (
        with_bytes(WEIGHTS, safetensors(4) + b"xx"),
        f"{WEIGHTS} has 2 bytes too many: fetch it again",
    ),
    "weights that were never fetched": (
        with_text(WEIGHTS, "version https://git-lfs.github.com/spec/v1\n"),
        f"{WEIGHTS} is a Git LFS pointer, not the weights: git lfs pull fetches them",
    ),
    "weights of zeroes": (
        with_bytes(WEIGHTS, bytes(1000)),
        f"{WEIGHTS} is no safetensors file: it has no header",
    ),
    "weights with a header that is none": (
        with_bytes(WEIGHTS, struct.pack("<Q", 4) + b"oh, no"),
        f"{WEIGHTS} is no safetensors file: its header cannot be read",
    ),
    "a shard missing": (
        sharded(0, 2),
        "1 of the 3 weight files that its index names are not in the folder, first "
        "model-00002-of-00003.safetensors: the download is not complete",
    ),
    "an index of nothing": (
        lambda folder: (folder / WEIGHTS).rename(folder / INDEX).write_text("{}"),
        f"{INDEX} names no weight files",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_says_what_is_wrong(case: str, checkpoint: Path) -> None:
    spoil, expected = CASES[case]
    spoil(checkpoint)
    [line] = faults(checkpoint)
    assert "\n" not in line
    beginning, *open_end = expected.split("…")
    assert line.startswith(beginning) if open_end else line == expected


def test_nothing_is_wrong_with_the_bundled_model_and_its_copies(checkpoint: Path) -> None:
    assert faults(checkpoint_path()) == faults(checkpoint) == faults(checkpoint, "vllm") == []
    sharded(0, 1, 2)(checkpoint)
    assert faults(checkpoint) == []
    (checkpoint / INDEX).unlink()
    assert faults(checkpoint, "vllm") == []  # takes whatever there is


def test_a_text_model_needs_a_chat_template_of_its_own(checkpoint: Path) -> None:
    """Qwen2-Audio's processor brings one along."""
    without("chat_template.jinja")(checkpoint)
    assert faults(checkpoint) == []
    changed("config.json", architectures=["Qwen2ForCausalLM"])(checkpoint)
    assert faults(checkpoint) == [
        "no chat template in the folder (chat_template.jinja, chat_template.json or chat_template "
        "in tokenizer_config.json): is it a base model?"
    ]
    changed("tokenizer_config.json", chat_template="{{ messages }}")(checkpoint)
    assert faults(checkpoint) == []


def test_tags_of_transformers_are_no_faults_of_a_template(checkpoint: Path) -> None:
    text = "{%- generation -%}{% for m in messages %}{% break %}{% endfor %}{% endgeneration %}"
    with_text("chat_template.jinja", text)(checkpoint)
    assert faults(checkpoint) == []


def test_a_generation_config_may_be_ignored(checkpoint: Path) -> None:
    changed("generation_config.json", min_length=4)(checkpoint)
    settings = ModelSettings(
        *(str(checkpoint), None, None, "auto", "auto", False), ignore_generation_config=True
    )
    assert [*checkpoint_faults(settings, "transformers")] == []


def test_all_faults_are_told_the_first_to_begin_with(checkpoint: Path) -> None:
    without("tokenizer.json", "processor_config.json", WEIGHTS)(checkpoint)
    assert [line.split(" in the")[0] for line in faults(checkpoint)] == [
        "no tokenizer",
        "no preprocessor_config.json or processor_config.json",
        "no weights (*.safetensors)",
    ]


def test_folders_that_hold_something_else_are_recognised(checkpoint: Path) -> None:
    assert faults(checkpoint.parent) == ["no config.json in the folder; tiny in it has one"]
    config = checkpoint / "config.json"
    config.rename(checkpoint / "adapter_config.json")
    assert faults(checkpoint)[0].endswith("merge it into its base model and save that")
    (checkpoint / "adapter_config.json").rename(checkpoint / "it.gguf")
    assert faults(checkpoint)[0].endswith("GGUF files, which raypipe does not read")


def test_an_adapter_that_the_family_loads_must_be_there(checkpoint: Path) -> None:
    changed("config.json", architectures=["Phi4MultimodalForCausalLM"])(checkpoint)
    assert faults(checkpoint) == ["no adapter speech-lora in the folder"]
    (checkpoint / "speech-lora").mkdir()
    assert faults(checkpoint) == []


def test_the_tokenizer_of_an_endpoint_needs_no_model(checkpoint: Path) -> None:
    without("config.json", WEIGHTS)(checkpoint)
    assert [*tokenizer_faults(str(checkpoint))] == []
    without("tokenizer.json")(checkpoint)
    assert [*tokenizer_faults(str(checkpoint))] == [
        "no tokenizer in the folder (tokenizer.json, tokenizer.model, vocab.json …)"
    ]
    assert [*tokenizer_faults("/nowhere")] == ["no such folder"]
