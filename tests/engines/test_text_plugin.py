"""A plug-in that is one function."""

from __future__ import annotations

import numpy as np
import pytest

from raypipe.engines.plugins import EngineSettings, ModelSettings, PluginOptions
from raypipe.engines.text_plugin import text_plugin
from raypipe.errors import EngineError
from raypipe.labels import label_set
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

    def answer(self, requests):
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
        def answer(self, requests):
            return super().answer(requests)[:-1]

    engine = text_plugin(Forgetful, sampling_rate=8000, max_duration_s=2.0).engine(SETTINGS)
    with pytest.raises(EngineError, match="1 answers to 2 requests"):
        engine.generate([request("a"), request("b")], GREEDY)
