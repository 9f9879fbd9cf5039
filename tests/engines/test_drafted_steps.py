"""Steps that are fed guesses give the search that takes its steps one by one."""

import json
import math
import random

import numpy as np
import pytest
from random_checkpoint import Shape

from raypipe.engines.drafted_steps import spare_tokens
from raypipe.engines.drafts import MOST_AHEAD, AnswerForm
from raypipe.engines.fused import as_it_is, fuse
from raypipe.engines.transformers import TransformersEngine, TransformersFrontend
from raypipe.engines.tree_decoder import TreeDecoder
from raypipe.grammars import distribution_regex
from raypipe.labels import LabelSet
from raypipe.prompts import render_prompt
from raypipe.records import Generation, Grammar, Penalties, Request, Search
from raypipe.tiny_alm import checkpoint_path
from raypipe.tiny_alm.corpus import synthetic_clip
from raypipe.tiny_alm.synth import LABEL_SET

SCORES = distribution_regex(LabelSet(("anger", "fear")))
WORDS = Grammar("regex", r"(anger|disgust|fear|neutral)(, (anger|disgust|fear|neutral)){0,3}")
FEW = Grammar("regex", "yes|no|maybe")
SCHEMA = Grammar(
    "json_schema",
    json.dumps(
        {
            "type": "object",
            "properties": {
                "emotion": {"enum": ["anger", "fear", "neutral"]},
                "sure": {"type": "boolean"},
                "share": {"enum": [0.25, 0.5, 0.75]},
            },
            "required": ["emotion", "sure", "share"],
            "additionalProperties": False,
        }
    ),
)
GRAMMARS = {"scores": SCORES, "words": WORDS, "few": FEW, "schema": SCHEMA}


@pytest.fixture
def clips(requests):
    return [request for request in requests if len(request.samples) < 80_000]


def decode_steps(engine, run):
    """What a call gives, and how many steps of the model it took."""
    step, widths = engine._model.step, []
    engine._model.step = lambda tokens, *rest: widths.append(tokens.shape[1]) or step(tokens, *rest)
    try:
        return run(), widths
    finally:
        engine._model.step = step


def one_by_one_and_ahead(engine, inputs, **settings):
    """The same call with every step by itself and with guesses, each with its steps' widths."""
    lanes, prefixes = engine.decoder._settings, engine._prefixes
    engine.decoder = TreeDecoder(engine._model, lanes, prefixes=prefixes, ahead=0)
    alone = decode_steps(engine, lambda: engine.generate(inputs))
    engine.decoder = TreeDecoder(engine._model, lanes, prefixes=prefixes, **settings)
    return alone, decode_steps(engine, lambda: engine.generate(inputs))


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, Generation), one
        assert one.utterance_id == other.utterance_id
        for mine, theirs in zip(one.hypotheses, other.hypotheses, strict=True):
            assert (mine.kind, mine.rank) == (theirs.kind, theirs.rank)
            assert mine.token_ids == theirs.token_ids
            assert mine.finish_reason == theirs.finish_reason
            assert mine.alpha == pytest.approx(theirs.alpha, rel=2e-6, abs=1e-4)
            scores = [mine.search_score, theirs.search_score]
            assert scores == [None, None] or scores[0] == pytest.approx(scores[1], abs=1e-4)
            np.testing.assert_allclose(mine.token_logprobs, theirs.token_logprobs, atol=1e-4)
            np.testing.assert_allclose(mine.emotion_logits, theirs.emotion_logits, atol=1e-4)


@pytest.mark.parametrize(("beam_count", "greedy"), [(0, True), (1, True), (3, False), (5, True)])
@pytest.mark.parametrize("grammar", GRAMMARS)
def test_hypotheses_are_those_of_steps_taken_one_by_one(
    make_engine, frontend, clips, grammar, beam_count, greedy
):
    engine = make_engine(
        beam_count=beam_count, greedy=greedy, max_new_tokens=40, grammar=GRAMMARS[grammar]
    )
    inputs = frontend.prepare(clips[::2])
    (expected, alone), (found, ahead) = one_by_one_and_ahead(engine, inputs)
    assert_same(found, expected)
    assert set(alone) == {beam_count + greedy}
    assert len(ahead) <= len(alone)
    if grammar != "few":  # something was guessed, and with few beams something came of it
        assert max(ahead) > beam_count + greedy
        assert len(ahead) < len(alone) or beam_count > 1


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 12])
def test_answers_that_are_cut_are_cut_at_the_same_token(make_engine, frontend, clips, limit):
    engine = make_engine(beam_count=3, max_new_tokens=limit, grammar=SCORES)
    (expected, _), (found, _) = one_by_one_and_ahead(engine, frontend.prepare(clips[::2]))
    assert_same(found, expected)
    assert {hypothesis.steps for hypothesis in found[0].hypotheses} == {limit}


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_rows_that_are_refilled_are_ahead_of_each_other(make_engine, frontend, clips, batch_size):
    engine = make_engine(beam_count=3, max_new_tokens=40, grammar=WORDS, batch_size=batch_size)
    inputs = frontend.prepare(clips)
    for settings in ({}, {"check_interval": 8, "refilled_share": 4}):
        (expected, _), (found, _) = one_by_one_and_ahead(engine, inputs, **settings)
        assert_same(found, expected)


def test_penalties_and_several_ends_are_followed(make_checkpoint, make_engine, frontend, clips):
    path = make_checkpoint(Shape(seed=2, end_tokens=("<|im_end|>", "<|endoftext|>")))
    inputs = frontend.prepare(clips[::2])
    for grammar in (WORDS, SCORES):
        engine = make_engine(
            path,
            beam_count=3,
            max_new_tokens=40,
            grammar=grammar,
            penalties=Penalties(repetition=1.2),
        )
        (expected, _), (found, _) = one_by_one_and_ahead(engine, inputs)
        assert_same(found, expected)
        assert any(h.search_score != h.alpha for one in found for h in one.hypotheses)


def test_so_it_is_with_fused_layers_and_a_shared_prefix(make_engine, frontend, clips):
    # Without a clip all prompts begin alike; two of them are read behind one prefix.
    engine = make_engine(beam_count=3, max_new_tokens=40, grammar=SCORES)
    fusion = fuse(engine._model, run=as_it_is)
    assert fusion.fused
    prompt = "Say what the speaker of this sentence feels, and how strongly, as JSON: " * 3
    asked = [Request(str(i), prompt + word, None) for i, word in enumerate(("no", "yes", "why"))]
    inputs = frontend.prepare([*asked, *clips[:3]])
    (expected, _), (found, ahead) = one_by_one_and_ahead(engine, inputs)
    assert_same(found, expected)
    assert engine._prefixes._read
    assert max(ahead) > 4


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_guessed_the_answers_stay(make_engine, frontend, clips, monkeypatch, seed):
    chance = random.Random(seed)

    def anything(self, state):
        allowed = np.flatnonzero(np.unpackbits(state.allowed, bitorder="little"))
        return int(chance.choice(allowed)) if len(allowed) else None

    monkeypatch.setattr(AnswerForm, "guess", anything)
    engine = make_engine(beam_count=4, max_new_tokens=30, grammar=GRAMMARS["scores"])
    (expected, _), (found, ahead) = one_by_one_and_ahead(engine, frontend.prepare(clips[::2]))
    assert_same(found, expected)
    assert max(ahead) > 10


@pytest.fixture(scope="module")
def tiny_alm():
    path = str(checkpoint_path())
    frontend = TransformersFrontend(path)
    engine = TransformersEngine(
        path, emotion_tokens=frontend.emotion_tokens(LABEL_SET), batch_size=8, device="cpu"
    )
    prompt = render_prompt("distribution", LABEL_SET)
    clips = [synthetic_clip(number)[0].samples for number in range(8)]
    return engine, frontend.prepare([Request(str(i), prompt, c) for i, c in enumerate(clips)])


@pytest.mark.parametrize("beam_count", [0, 3, 5])
def test_the_distribution_prompt_takes_half_the_steps_or_fewer(tiny_alm, beam_count):
    engine, inputs = tiny_alm
    search = Search(beam_count, True, 96, distribution_regex(LABEL_SET))
    settings = engine._settings(search)

    def answers(**named):
        engine._decoders[search] = TreeDecoder(
            engine._model, settings, prefixes=engine._prefixes, **named
        )
        return decode_steps(engine, lambda: engine.generate(inputs, search))

    (expected, alone), (found, ahead) = answers(ahead=0), answers()
    assert_same(found, expected)
    assert 2 * len(ahead) <= len(alone)


def test_the_more_rows_the_fewer_guesses():
    assert spare_tokens(1, 6, MOST_AHEAD) == 6 * MOST_AHEAD
    assert spare_tokens(64, 6, MOST_AHEAD) == 10
    assert spare_tokens(500, 6, MOST_AHEAD) == 0
    assert spare_tokens(1, 6, 0) == 0


def test_a_row_whose_logits_are_no_numbers_is_an_error_of_its_own(make_engine, frontend, clips):
    engine = make_engine(beam_count=3, max_new_tokens=30, grammar=SCORES, batch_size=3)
    inputs = frontend.prepare(clips[:6])
    step, spoilt = engine._model.step, []

    def spoil(tokens, *rest):
        logits = step(tokens, *rest)
        if not spoilt:
            logits[0] = math.nan
            spoilt.append(True)
        return logits

    expected = engine.generate(inputs)
    engine._model.step = spoil
    found = engine.generate(inputs)
    good = [one for one in found if isinstance(one, Generation)]
    assert len(good) == len(found) - 1
    by_id = {one.utterance_id: one for one in expected}
    assert_same(good, [by_id[one.utterance_id] for one in good])
