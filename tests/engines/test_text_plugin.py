"""A plug-in that is one function."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from raypipe.engines.plugins import EngineSettings, ModelSettings, PluginOptions
from raypipe.engines.text_plugin import clip_file, import_from, text_plugin
from raypipe.errors import ConfigError, EngineError
from raypipe.labels import label_set
from raypipe.protocols import Demand
from raypipe.records import EmotionTokens, Failure, Request, Search

GREEDY = Search(beam_count=0, greedy=True, max_new_tokens=8)
SETTINGS = EngineSettings(
    ModelSettings("model", PluginOptions(), None, "float32", "auto", False),
    EmotionTokens((), (), ()),
    batch_size=2,
    threads=1,
)


class Parrot:
    def __init__(self, settings):
        self.asked = []

    def answer(self, requests, max_new_tokens):
        assert max_new_tokens == GREEDY.max_new_tokens
        self.asked.append(len(requests))
        return [one.prompt if one.prompt else self.silent(one) for one in requests]

    def silent(self, one):
        return Failure(one.utterance_id, "engine", "speechless", "no words")


def request(prompt, seconds=0.5):
    return Request(f"{prompt} {seconds}", prompt, np.zeros(round(seconds * 8000), np.float32))


PLUGIN = text_plugin(Parrot, sampling_rate=8000, max_duration_s=2.0)


def test_every_request_is_answered_in_its_place_a_batch_at_a_time():
    frontend, engine = PLUGIN.frontend(SETTINGS.model), PLUGIN.engine(SETTINGS)
    inputs = frontend.prepare([request("a"), request(""), request("b")])
    with engine.audio_cache():
        replies = engine.generate([*inputs[:2], frontend.with_prompt(inputs[2], "c")], GREEDY)
    assert engine._model.asked == [2, 1]
    assert [reply.utterance_id for reply in replies] == ["a 0.5", " 0.5", "b 0.5"]
    assert replies[1].error_type == "speechless"
    assert [replies[i].hypotheses[0].text for i in (0, 2)] == ["a", "c"]
    assert frontend.emotion_tokens(label_set("crema-d-6")).token_ids == ()
    assert engine.generate([], GREEDY) == []


def test_what_it_cannot_hear_never_reaches_it():
    frontend = PLUGIN.frontend(SETTINGS.model)
    no_clip, too_long, whole = frontend.prepare(
        [Request("u", "a", None), request("a", 2.001), request("a", 2.0)]
    )
    assert (no_clip.error_type, too_long.error_type) == ("no_clip", "too_long")
    assert "2.001 s, the model hears 2 s" in too_long.message
    assert isinstance(whole, Request)


def test_a_missing_answer_stops_it():
    class Forgetful(Parrot):
        def answer(self, requests, max_new_tokens):
            return super().answer(requests, max_new_tokens)[:-1]

    engine = text_plugin(Forgetful, sampling_rate=8000, max_duration_s=2.0).engine(SETTINGS)
    with pytest.raises(EngineError, match="1 answers to 2 requests"):
        engine.generate([request("a"), request("b")], GREEDY)


def test_a_prompt_with_a_mark_of_the_model_never_reaches_it():
    plugin = text_plugin(Parrot, sampling_rate=8000, max_duration_s=2.0, marks=("<clip>",))
    frontend = plugin.frontend(SETTINGS.model)
    refused, good = frontend.prepare([request("what is <clip>?"), request("what?")])
    assert (refused.stage, refused.error_type) == ("prompt", "special_token_in_prompt")
    assert "'<clip>'" in refused.message
    assert frontend.with_prompt(good, "and <clip>?").error_type == "special_token_in_prompt"
    assert frontend.with_prompt(good, "and now?").prompt == "and now?"


def test_code_of_a_checkpoint_is_run_only_where_the_config_allows_it():
    plugin = text_plugin(Parrot, sampling_rate=8000, max_duration_s=2.0, runs_remote_code=True)
    with pytest.raises(ConfigError, match=r"model\.trust_remote_code: model is run by code"):
        plugin.check_run("parrot", SETTINGS.model, Demand({}))
    trusted = replace(SETTINGS.model, trust_remote_code=True)
    plugin.check_run("parrot", trusted, Demand({}))


def test_what_is_loaded_beside_the_model_tells_models_apart(tmp_path):
    (tmp_path / "model").write_text("model")
    (tmp_path / "encoder").write_text("1")
    encoder = str(tmp_path / "encoder")
    plugin = text_plugin(
        Parrot, sampling_rate=8000, max_duration_s=2.0, also_loads=lambda options: (encoder,)
    )
    model = replace(SETTINGS.model, path=str(tmp_path / "model"))
    first = plugin.fingerprint(model)
    (tmp_path / "encoder").write_text("2")
    assert plugin.fingerprint(model) != first


def test_a_clip_as_a_file_holds_every_sample_and_is_gone_afterwards():
    samples = np.linspace(-1.5, 1.5, 4000, dtype=np.float32)
    with clip_file(Request("u", "", samples), 8000) as path:
        read, rate = soundfile.read(path, dtype="float32")
    assert rate == 8000
    np.testing.assert_array_equal(read, samples)
    assert not Path(path).exists()


def test_modules_of_a_checkout_can_be_imported_once_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "an_odd_checkout.py").write_text("RATE = 8000\n")
    import_from(str(tmp_path))
    import_from(str(tmp_path))
    assert sys.path.count(str(tmp_path)) == 1
    assert importlib.import_module("an_odd_checkout").RATE == 8000
    with pytest.raises(ConfigError, match="nowhere: there is no such folder"):
        import_from("nowhere")
