"""Families as data: collected from their folder, told in words, Markdown and JSON."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from raypipe.engines import model_list
from raypipe.engines.families import FAMILIES, collect, family_modules
from raypipe.engines.families.family import ClipLimits, Family, VllmSupport
from raypipe.engines.input_builders import ProcessorInputBuilder
from raypipe.engines.lazy import load_object
from raypipe.engines.model_list import (
    families_markdown,
    listed_models,
    loaders_markdown,
    memory_in_words,
    models_as_json,
    models_markdown,
)
from raypipe.engines.own_loaders import OWN_LOADERS
from raypipe.engines.published import PROOFS, Published
from raypipe.errors import RegistryError

ROOT = Path(__file__).parents[2]
BY_NAME = {family.name: family for family in FAMILIES}


def family(**changes) -> Family:
    fields = {
        "name": "Odd",
        "architecture": "OddForConditionalGeneration",
        "input_builder": ProcessorInputBuilder,
        "processor": "OddProcessor",
        "clips": ClipLimits(longest_s=45.0),
    }
    return Family(**fields | changes)


def module(name: str, content: object) -> ModuleType:
    made = ModuleType(f"raypipe.engines.families.{name}")
    if content is not None:
        made.FAMILY = content
    return made


def test_a_file_in_the_folder_is_all_that_a_family_takes():
    odd = family()
    assert odd in collect([*family_modules(), module("odd", odd)])


@pytest.mark.parametrize("content", [None, "a family"])
def test_a_file_without_a_family_is_refused(content):
    with pytest.raises(RegistryError, match=r"families\.odd defines no FAMILY"):
        collect([module("odd", content)])


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Voxtral"},
        {"architecture": "VoxtralForConditionalGeneration"},
        {"published_as": ("Qwen2_5OmniModel",)},
    ],
)
def test_a_name_or_an_architecture_that_is_taken_is_refused(changes):
    with pytest.raises(
        RegistryError, match=r"families\.odd: .* is raypipe\.engines\.families\.\w+'s"
    ):
        collect([*family_modules(), module("odd", family(**changes))])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"decoder": None}, "neither a decoder nor vLLM support"),
        ({"adapter_folder": "speech-lora"}, "without has_clip_adapter"),
        ({"adapter": "odd:Adapter", "decoder": "plain"}, "for the tree decoder only"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(changes, words):
    with pytest.raises(RegistryError, match=f"family Odd: .*{words}"):
        family(**changes)


IN_WINDOWS = ClipLimits(longest_s=600.0, encoded_in_s=30.0)
SEVERAL = ClipLimits(longest_s=90.0, per_prompt=3)
VARIANTS = "sliding windows and positions scaled by the length"


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ({}, "one clip per prompt, or none, up to 45 s"),
        ({"clips": ClipLimits(longest_s=2400.0, needed=True)}, "one clip per prompt, up to 40 min"),
        ({"clips": SEVERAL}, "up to 3 clips per prompt, or none, up to 90 s"),
        (
            {"clips": IN_WINDOWS},
            "one clip per prompt, or none, up to 10 min, encoded in windows of 30 s",
        ),
        ({"clips": None}, "no audio: a question with a clip is an error row"),
        ({"unused": ("images",)}, "no images"),
        ({"plain_fallback": False}, f"{VARIANTS} are refused"),
        ({}, f"{VARIANTS} take the plain path"),
        ({"extra": "odd"}, "needs the extra odd"),
        ({"needs_trust_remote_code": True}, "needs trust_remote_code"),
        ({"has_clip_adapter": True}, "the adapter for clips is off for questions without one"),
        ({"notes": ("half of the words",)}, "half of the words"),
    ],
)  # fmt: skip
def test_limits_are_told_by_what_the_fields_say(changes, phrase):
    assert phrase in family(**changes).limits_in_words()


def test_engines_follow_from_the_decoder_and_vllm_support():
    support = VllmSupport(encode=lambda *_: None, limits=lambda _: None)
    assert family().engines == ("transformers",)
    assert family(vllm=support).engines == ("transformers", "vllm")
    assert family(decoder=None, vllm=support).engines == ("vllm",)


@pytest.mark.parametrize(
    "named", [each for each in FAMILIES if each.extra], ids=lambda each: each.name
)
def test_an_extra_that_a_family_needs_can_be_installed(named):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert named.extra in project["optional-dependencies"]


@pytest.mark.parametrize(
    "named", [each for each in FAMILIES if each.decoder == "tree"], ids=lambda each: each.name
)
def test_the_adapter_of_a_tree_is_a_decoder_adapter(named):
    from raypipe.engines.decoder_adapter import DecoderAdapter

    assert issubclass(load_object(named.adapter), DecoderAdapter)


def test_the_table_has_a_row_for_every_family():
    header, rule, *rows = families_markdown().splitlines()
    assert header.count("|") == rule.count("|") == 6
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(BY_NAME)
    assert all(row.count("|") == 6 for row in rows)


def test_the_readme_has_the_present_families():
    page = (Path(model_list.__file__).parent / "README.md").read_text()
    for table in (families_markdown(), models_markdown(), loaders_markdown()):
        assert table in page, "python -m raypipe.engines.model_list writes it"


def test_the_models_that_are_asked_about_are_named_once_each():
    names = [listed.published.name for listed in listed_models()]
    assert len(set(names)) == len(names)
    for wanted in (
        *("Qwen2-Audio-7B", "Qwen2-Audio-7B-Instruct", "Qwen2.5-Omni-3B", "Qwen2.5-Omni-7B"),
        *("Qwen3-Omni-30B-A3B-Instruct", "audio-flamingo-2", "audio-flamingo-3-hf"),
        *("ultravox-v0_3", "ultravox-v0_4", "Voxtral-Mini-3B-2507", "granite-speech-3.3-8b"),
        *("Phi-4-multimodal-instruct", "gemma-3n-E4B-it", "SALMONN", "Baichuan-Omni-1d5"),
        "LTU-AS",
    ):
        assert wanted in [name.partition("/")[2] or name for name in names]


@pytest.mark.parametrize("listed", listed_models(), ids=lambda listed: listed.published.name)
def test_a_listed_model_says_where_it_runs_for_how_long_a_clip_and_how_far_it_is_proved(listed):
    published = listed.published
    assert listed.engines
    assert listed.proved in PROOFS
    assert listed.longest_s > 0
    assert listed.reason
    assert published.on_hub == ("/" in published.name)
    if published.parameters is not None and published.weights_gb is not None:
        # A checkpoint in half precision is as large as its parameters, an adapter smaller.
        assert published.weights_gb < published.parameters * 2.4


def test_a_published_checkpoint_needs_a_source():
    with pytest.raises(RegistryError, match="a/b: facts without a source"):
        Published(name="a/b", source=" ")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"parameters": 8.0}, "14.9"),
        ({"weights_gb": 22.37, "dtype": "bfloat16"}, "< 20.8"),
        ({"weights_gb": 22.37}, "?"),
        ({}, "?"),
    ],
)
def test_memory_follows_from_the_size(facts, words):
    assert memory_in_words(Published(name="a/b", source="here", **facts)) == words


def parameters_on_no_device(architecture: str, config: object) -> int:
    import torch
    import transformers

    with torch.device("meta"):
        model = getattr(transformers, architecture)(config)
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_sizes_are_those_of_models_of_the_published_configs():
    import transformers

    text = {"model_type": "qwen2", "intermediate_size": 11_008, "vocab_size": 156_032}
    configs = {
        "Qwen/Qwen2-Audio-7B": transformers.Qwen2AudioConfig(text_config=text),
        "mistralai/Voxtral-Mini-3B-2507": transformers.VoxtralConfig(),
    }
    for listed in listed_models():
        if listed.published.name in configs:
            config = configs.pop(listed.published.name)
            count = parameters_on_no_device(BY_NAME[listed.group].architecture, config)
            assert listed.published.parameters == pytest.approx(count / 1e9, abs=5e-4)
            if listed.published.weights_gb is not None:
                assert listed.published.weights_gb == pytest.approx(count * 2 / 1e9, abs=0.005)
    assert not configs


def test_the_json_holds_the_limits_as_numbers():
    document = json.loads(json.dumps(models_as_json()))
    models = {each["name"]: each for each in document["models"]}
    assert models["Qwen/Qwen2-Audio-7B"]["memory_gib"] == pytest.approx(15.64, abs=0.01)
    assert models["fixie-ai/ultravox-v0_4"]["engines"] == ["vllm", "ultravox-transformers"]
    assert models["tsinghua-ee/SALMONN"]["plugins"] == ["salmonn"]
    assert {each["engine"] for each in document["own_loaders"]} == {
        loader.engine for loader in OWN_LOADERS
    }
    by_name = {each["name"]: each for each in document["families"]}
    assert set(by_name) == set(BY_NAME)
    assert by_name["Voxtral"]["clips"] == dataclasses.asdict(BY_NAME["Voxtral"].clips)
    assert by_name["Qwen3 (text)"]["clips"] is None
    assert document["elsewhere"]
