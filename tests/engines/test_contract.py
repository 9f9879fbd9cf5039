"""Engines that break their contract are found out, those that keep it are let through."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from raypipe.engines.contract import CheckedEngine, CheckedFrontend, Tagged
from raypipe.errors import EngineError
from raypipe.protocols import Capabilities
from raypipe.records import Failure, Generation, Hypothesis, Request, Search

RECORDED = 3
GREEDY = Hypothesis(
    kind="greedy",
    rank=0,
    text="anger",
    token_ids=(4, 2),
    token_logprobs=np.array([-0.5, -0.25], np.float32),
    alpha=-0.75,
    finish_reason="stop",
    emotion_logits=np.zeros((2, RECORDED), np.float32),
)
BEAM = dataclasses.replace(GREEDY, kind="beam")
SEARCH = Search(beam_count=1, greedy=True, max_new_tokens=8)
INPUTS = [Tagged("a", 1), Tagged("b", 2)]


def generation(utterance_id, *hypotheses):
    return Generation(utterance_id, hypotheses, prompt_tokens=None, audio_tokens=None)


class Fake:
    capabilities = Capabilities(beams=False, emotion_logits=True, token_logprobs=True)
    sampling_rate, max_duration_s = 16_000, 30.0

    def __init__(self, *replies):
        self.replies = list(replies)

    def generate(self, inputs, search):
        self.given, self.search = list(inputs), search
        return self.replies

    def with_prompt(self, prepared, prompt):
        return self.replies.pop(0)

    def prepare(self, requests):
        return self.replies


def engine(fake, several=True):
    return CheckedEngine("odd", fake, RECORDED, several=several)


def ask(*replies):
    return engine(Fake(*replies)).generate(INPUTS, SEARCH)


def test_good_answers_pass_and_the_engine_sees_its_own_inputs():
    failure = Failure("b", "engine", "refused", "it would not")
    fake = Fake(generation("a", GREEDY, BEAM), failure)
    assert engine(fake).generate(INPUTS, SEARCH) == [generation("a", GREEDY, BEAM), failure]
    assert fake.given == [1, 2]
    assert fake.search == SEARCH


def test_an_engine_without_beams_is_asked_for_none():
    fake = Fake(*(generation(name, GREEDY) for name in "ab"))
    engine(fake, several=False).generate(INPUTS, SEARCH)
    assert fake.search == dataclasses.replace(SEARCH, beam_count=0)


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        ([generation("a", GREEDY)], "1 answers for 2 utterances, 'a' the first"),
        ([generation("b", GREEDY), generation("a", GREEDY)], "about 'b' where 'a' was asked"),
        ([generation("a", GREEDY), Failure("a", "engine", "x", "y")], "about 'a' where 'b'"),
        ([generation("a", GREEDY), "fear"], "answered 'b' with a str"),
        ([generation("a", GREEDY), generation("b", BEAM)], "'b': 0 greedy answers and 1 beams"),
        ([generation("a", GREEDY, BEAM, BEAM), "?"], "'b' with a str"),
        ([generation("a", GREEDY, BEAM, BEAM), generation("b", GREEDY)], "'a': 1 .* and 2 beams"),
    ],
)
def test_answers_that_are_not_one_to_an_input_in_order_are_refused(replies, words):
    with pytest.raises(EngineError, match=f"engine odd.*{words}"):
        ask(*replies)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"alpha": float("nan")}, "alpha is nan; None says"),
        ({"token_ids": (4, -1)}, "-1 among its token ids"),
        ({"token_ids": (4, 1.5)}, "1.5 among its token ids"),
        ({"alpha": None}, "alpha is None and alpha_kind 'sum_logprob'"),
        ({"alpha_kind": "none"}, "alpha is -0.75 and alpha_kind 'none'"),
        ({"token_logprobs": np.zeros(3, np.float32)}, "3 log-probabilities of 2 tokens"),
        ({"emotion_logits": np.zeros((2, 4), np.float32)}, r"shape \(2, 4\), expected \(2, 3\)"),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(change, words):
    wrong = dataclasses.replace(GREEDY, **change)
    with pytest.raises(EngineError, match=f"engine odd, 'b', greedy 0: .*{words}"):
        ask(generation("a", GREEDY), generation("b", wrong))


@pytest.mark.parametrize("count", ["x", -5, 1.5, True])
@pytest.mark.parametrize("what", ["prompt_tokens", "audio_tokens"])
def test_tokens_of_a_question_are_whole_numbers(what, count):
    wrong = dataclasses.replace(generation("b", GREEDY, BEAM), **{what: count})
    with pytest.raises(EngineError, match=f"engine odd, 'b': {what} is {count!r}"):
        ask(generation("a", GREEDY, BEAM), wrong)


def test_a_frontend_has_to_answer_for_every_request():
    requests = [Request(name, "?", np.zeros(4, np.float32)) for name in "ab"]
    bad = Failure("b", "prompt", "empty", "no samples")
    assert CheckedFrontend("odd", Fake("x", bad)).prepare(requests) == [Tagged("a", "x"), bad]
    with pytest.raises(EngineError, match="3 inputs for 2 utterances"):
        CheckedFrontend("odd", Fake(1, 2, 3)).prepare(requests)
    with pytest.raises(EngineError, match="about 'b' where 'a'"):
        CheckedFrontend("odd", Fake(bad, 2)).prepare(requests)


def test_another_question_about_a_clip_keeps_its_name():
    bad = Failure("a", "prompt", "too_long", "cannot be asked")
    frontend = CheckedFrontend("odd", Fake("y", bad, bad))
    assert frontend.with_prompt(Tagged("a", "x"), "And now?") == Tagged("a", "y")
    assert frontend.with_prompt(Tagged("a", "x"), "And now?") == bad
    with pytest.raises(EngineError, match="about 'a' where 'b'"):
        frontend.with_prompt(Tagged("b", "x"), "And now?")
