"""The tree decoder held to a grammar, against generate() held to it by other means."""

import math
import re

import numpy as np
import pytest
import torch
from hf_reference import Reference
from random_checkpoint import Shape

from raypipe.engines.grammar import GrammarState
from raypipe.engines.grammar_lanes import GrammarLanes, masked
from raypipe.engines.lanes import Lanes, SearchSettings
from raypipe.engines.transformers import TransformersEngine, TransformersFrontend
from raypipe.engines.tree_decoder import TreeDecoder
from raypipe.errors import ConfigError, DeadEndError
from raypipe.grammars import distribution_regex
from raypipe.labels import LabelSet, label_set
from raypipe.parsing import parse_answer
from raypipe.records import Generation, Grammar, Search

LIMIT = 14
LABELS = label_set("crema-d-6")
# Answers of many lengths, some of them cut; few answers in many tokenisations; a distribution.
WORDS = r"[a-z]{2,7}( [a-z]{3,9})*"
FEW = r"yes|no|maybe"
SCORES = distribution_regex(LabelSet(("anger", "fear"))).source
TWO_ENDS = Shape(seed=2, end_tokens=("<|im_end|>", "<|endoftext|>"))


@pytest.fixture
def clips(requests):
    """Short ones; the grammar does not know how long a clip was."""
    return [request for request in requests if len(request.samples) < 80_000]


def regex(pattern: str) -> Grammar:
    return Grammar("regex", pattern)


def beams(generation):
    return [hypothesis for hypothesis in generation.hypotheses if hypothesis.kind == "beam"]


def assert_same(hypothesis, answer):
    assert hypothesis.token_ids == answer.token_ids
    assert hypothesis.alpha == pytest.approx(answer.alpha, rel=2e-6, abs=1e-4)
    np.testing.assert_allclose(hypothesis.emotion_logits, answer.emotion_logits, atol=1e-4)


def assert_equals_generate(generations, reference, asked, beam_count):
    for request, generation in zip(asked, generations, strict=True):
        assert isinstance(generation, Generation), generation
        greedy, *found = generation.hypotheses
        assert_same(greedy, reference.greedy(request.prompt, request.samples))
        if beam_count == 1:  # generate() with one beam is greedy
            assert [beam.token_ids for beam in found] == [greedy.token_ids]
            continue
        expected = reference.beams(request.prompt, request.samples, beam_count)
        assert [beam.rank for beam in found] == list(range(len(expected)))
        for beam, answer in zip(found, expected, strict=True):
            assert_same(beam, answer)


@pytest.mark.parametrize("beam_count", [1, 3, 5])
@pytest.mark.parametrize(
    ("pattern", "limit"),
    [
        pytest.param(WORDS, LIMIT, id="words"),
        pytest.param(FEW, LIMIT, id="few"),
        pytest.param(SCORES, 30, id="scores"),
    ],
)
def test_hypotheses_are_those_of_generate_in_its_order(
    make_engine, frontend, reference, clips, beam_count, pattern, limit
):
    asked = clips[:: 2 if pattern == WORDS else 4]
    engine = make_engine(beam_count=beam_count, max_new_tokens=limit, grammar=regex(pattern))
    generations = engine.generate(frontend.prepare(asked))
    held = reference.held_to(pattern, limit)
    assert_equals_generate(generations, held, asked, beam_count)
    # A comparison is worth something only if answers differ from those without a grammar.
    for generation in generations:
        for hypothesis in generation.hypotheses:
            if hypothesis.finish_reason == "stop":
                assert re.fullmatch(pattern, hypothesis.text)
            else:
                assert held.follows.pattern.fullmatch(hypothesis.text, partial=True)


def test_so_they_are_with_several_end_tokens(make_checkpoint, make_engine, frontend, clips):
    path = make_checkpoint(TWO_ENDS)
    tokens = frontend.emotion_tokens(LABELS)
    reference = Reference(path, tokens.token_ids, LIMIT).held_to(WORDS, LIMIT)
    engine = make_engine(path, beam_count=3, max_new_tokens=LIMIT, grammar=regex(WORDS))
    generations = engine.generate(frontend.prepare(clips[::2]))
    assert_equals_generate(generations, reference, clips[::2], 3)
    found = [h for generation in generations for h in generation.hypotheses]
    ends = {h.token_ids[-1] for h in found if h.finish_reason == "stop"}
    assert ends == set(reference.model.generation_config.eos_token_id)
    assert {h.finish_reason for h in found} == {"stop", "length"}


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_answers_do_not_depend_on_how_many_rows_there_are(make_engine, frontend, clips, batch_size):
    inputs = frontend.prepare(clips)
    held = {"grammar": regex(WORDS), "max_new_tokens": LIMIT}
    expected = make_engine(batch_size=len(inputs), **held).generate(inputs)
    found = make_engine(batch_size=batch_size, **held).generate(inputs)
    lengths = set()
    for one, other in zip(found, expected, strict=True):
        for mine, theirs in zip(one.hypotheses, other.hypotheses, strict=True):
            assert mine.token_ids == theirs.token_ids
            assert mine.alpha == pytest.approx(theirs.alpha, abs=1e-4)
            lengths.add(mine.steps)
    assert len(lengths) > 3  # rows became free at different times


def test_nor_on_when_rows_are_looked_at_and_refilled(make_engine, frontend, clips):
    # As on an accelerator, where rows that are done go on for some steps.
    inputs = frontend.prepare(clips)
    engine = make_engine(batch_size=5, grammar=regex(WORDS), max_new_tokens=LIMIT)
    expected, settings = engine.generate(inputs), engine.decoder._settings
    engine.decoder = TreeDecoder(engine._model, settings, check_interval=8, refilled_share=4)
    for one, other in zip(engine.generate(inputs), expected, strict=True):
        assert [h.token_ids for h in one.hypotheses] == [h.token_ids for h in other.hypotheses]


def test_steps_that_wait_for_the_host_are_not_captured(make_engine):
    held, free = make_engine(grammar=regex(WORDS)), make_engine()
    for engine in (held, free):
        engine.engine._make_capture = object
    assert held.decoder._make_capture is None
    assert free.decoder._make_capture is object


def test_nothing_but_the_search_sees_the_grammar(make_engine, frontend, reference, clips):
    # The logits and probabilities of a plain forward pass over prompt and answer.
    engine = make_engine(beam_count=3, max_new_tokens=LIMIT, grammar=regex(FEW))
    for request in clips[:3]:
        (generation,) = engine.generate(frontend.prepare([request]))
        inputs = reference.inputs(request.prompt, request.samples)
        prompt = inputs["input_ids"]
        for hypothesis in generation.hypotheses:
            forced = torch.cat([prompt, torch.tensor([hypothesis.token_ids])], 1)
            inputs |= {"input_ids": forced, "attention_mask": torch.ones_like(forced)}
            with torch.inference_mode():
                logits = reference.model(**inputs).logits[0, prompt.shape[1] - 1 : -1].float()
            logprobs = logits.log_softmax(-1)[range(hypothesis.steps), hypothesis.token_ids]
            np.testing.assert_allclose(hypothesis.token_logprobs, logprobs, atol=1e-4)
            assert hypothesis.alpha == pytest.approx(float(logprobs.sum()), abs=1e-4)
            recorded = logits[:, reference.recorded_ids]
            np.testing.assert_allclose(hypothesis.emotion_logits, recorded, atol=1e-4)


def test_there_are_no_more_beams_than_answers(make_engine, frontend, clips):
    # "ab" in one token or two, and the end.
    engine = make_engine(beam_count=5, grammar=regex("ab"))
    for generation in engine.generate(frontend.prepare(clips[:3])):
        found = [(beam.text, beam.finish_reason) for beam in beams(generation)]
        assert set(found) == {("ab", "stop")}
        assert 1 <= len(found) <= 2
        assert [beam.rank for beam in beams(generation)] == list(range(len(found)))
        assert all(math.isfinite(beam.alpha) for beam in beams(generation))


def test_a_search_with_a_grammar_leaves_the_one_without_alone(make_engine, frontend, clips):
    engine = make_engine(beam_count=3, max_new_tokens=LIMIT)
    inputs = frontend.prepare(clips[:3])
    before = engine.generate(inputs)
    held = engine.engine.generate(inputs, Search(3, True, LIMIT, regex(FEW)))
    after = engine.generate(inputs)
    assert {h.text for g in held for h in g.hypotheses} <= {"yes", "no", "maybe"}
    for one, other in zip(before, after, strict=True):
        assert [h.token_ids for h in one.hypotheses] == [h.token_ids for h in other.hypotheses]


@pytest.mark.parametrize("seed", [1, 5])
def test_even_nonsense_is_a_distribution(make_checkpoint, emotion_tokens, clips, seed, device):
    path = make_checkpoint(Shape(seed=seed))
    frontend = TransformersFrontend(str(path))
    engine = TransformersEngine(
        str(path), emotion_tokens=emotion_tokens, batch_size=6, device=device
    )
    grammar = distribution_regex(LABELS)
    longest = 6 * len(',\n    "happiness": 0.0000') + 4
    replies = engine.generate(frontend.prepare(clips[::2]), Search(3, True, longest, grammar))
    for generation in replies:
        for hypothesis in generation.hypotheses:
            assert hypothesis.finish_reason == "stop"
            parsed = parse_answer(hypothesis.text, LABELS)
            assert parsed.rule == "json"
            assert parsed.invalid_reason in (None, "all_zero")


def test_a_grammar_that_cannot_be_followed_is_refused(make_engine, frontend, clips):
    engine = make_engine(grammar=regex("(a"))
    with pytest.raises(ConfigError, match="unclosed group"):
        engine.generate(frontend.prepare(clips[:1]))


class DeadEnd(GrammarState):
    """A grammar that lets token 3 through, and nothing after it."""

    def __init__(self, depth: int = 0):
        super().__init__(None, np.array([1, 0, 0, 0], dtype=np.uint8))
        self.depth = depth

    @property
    def allowed(self):
        return np.array([8 if self.depth == 0 else 0, 0, 0, 0], dtype=np.uint8)

    def after(self, token_id):
        return DeadEnd(self.depth + 1)

    def nowhere(self):
        return DeadEnd(1)


@pytest.mark.parametrize(("beam_count", "greedy"), [(2, True), (0, True), (2, False)])
def test_a_row_without_a_token_to_go_on_with_is_an_error_of_its_own(beam_count, greedy):
    settings = SearchSettings(beam_count, greedy, 4, (0,), (1,), DeadEnd())
    lanes = Lanes(2, settings, torch.device("cpu"))
    logits = torch.randn(2, 10, generator=torch.Generator().manual_seed(0))
    lanes.start(torch.arange(2), logits, [np.array([1])] * 2)
    for _ in range(3):
        lanes.advance(logits[:, None].repeat(1, settings.lane_count, 1))
    assert lanes.done() == [True, True]
    for answer in lanes.traces([0, 1]):
        assert isinstance(answer, DeadEndError)


def test_masked_logits_are_those_of_the_allowed_tokens():
    random = np.random.default_rng(0)
    logits = torch.from_numpy(random.standard_normal((3, 2, 45)).astype(np.float32))
    allowed = random.random((3, 2, 64)) < 0.5
    bits = torch.from_numpy(np.packbits(allowed, axis=-1, bitorder="little"))
    expected = np.where(allowed[..., :45], logits, -np.inf)
    np.testing.assert_array_equal(masked(logits, bits), expected)
    assert torch.isfinite(logits).all()


def test_rows_that_are_left_are_followed_no_longer():
    lanes = GrammarLanes(DeadEnd(), 2, 1)
    lanes.start(torch.tensor([1]), torch.tensor([[3]]))
    assert lanes._states[0][0].depth == 1
    lanes.leave([1])
    assert lanes._states[1] is lanes._nowhere
