"""Drawn answers: by the model's own law, told by the seed and the utterance's id alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from raypipe.engines.forced_lanes import ForcedAnswers
from raypipe.engines.sampled_lanes import SampledAnswers, drawn_tokens, uniforms
from raypipe.errors import ConfigError, EngineError
from raypipe.records import Penalties, Sampling

DRAWS = 20_000


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (1.5, 0.8), (1.0, 0.3)])
def test_tokens_are_drawn_by_the_law_that_transformers_samples_by(
    temperature: float, top_p: float
) -> None:
    logits = torch.randn(12, generator=torch.Generator().manual_seed(3)) * 2
    warped = TemperatureLogitsWarper(temperature)(None, logits[None].clone())
    if top_p < 1:
        warped = TopPLogitsWarper(top_p)(None, warped)
    expected = warped[0].double().softmax(-1).numpy()
    drawn = drawn_tokens(
        logits.expand(1, DRAWS, -1),
        torch.from_numpy(np.random.default_rng(7).random((1, DRAWS))),
        Sampling(1, 1, temperature, top_p),
    )
    counts = np.bincount(drawn[0].numpy(), minlength=len(expected))
    possible = expected > 0
    assert not counts[~possible].any()
    if possible.sum() > 1:
        likely = stats.chisquare(counts[possible], expected[possible] * DRAWS).pvalue
        assert likely > 1e-4


def test_the_ends_of_the_unit_interval_draw_tokens_that_are_possible() -> None:
    logits = torch.tensor([[[3.0, -torch.inf, 1.0, -torch.inf]] * 2])
    edges = torch.tensor([[0.0, 1 - 2**-53]], dtype=torch.float64)
    assert drawn_tokens(logits, edges, Sampling(2, 1)).tolist() == [[0, 2]]


def test_more_samples_and_more_steps_leave_the_first_ones_as_they_are() -> None:
    few, many = uniforms(Sampling(2, 4, seed=1), "u"), uniforms(Sampling(3, 9, seed=1), "u")
    np.testing.assert_array_equal(few, many[:4, :2])
    assert not np.isin(few, uniforms(Sampling(2, 4, seed=2), "u")).any()
    assert not np.isin(few, uniforms(Sampling(2, 4, seed=1), "v")).any()


def test_a_row_whose_logits_are_no_numbers_is_an_error_and_a_new_one_begins_clean() -> None:
    lanes = SampledAnswers(Sampling(2, 3), (0,), (1,)).lanes(2, torch.device("cpu"))
    logits = torch.zeros(2, 5)
    logits[0, 1] = torch.nan
    lanes.start(torch.tensor([0, 1]), logits, [], ["u", "v"])
    assert lanes.spoiled([0, 1]) == [0]
    while not all(lanes.done()):
        lanes.advance(torch.zeros(2, 2, 5))
    bad, good = lanes.traces([0, 1])
    assert isinstance(bad, EngineError)
    assert [trace.rank for trace in good] == [0, 1]
    lanes.start(torch.tensor([0]), torch.zeros(1, 5), [], ["w"])
    assert lanes.spoiled([0, 1]) == []


def drawn(reply):
    return [(item.token_ids, item.text, item.finish_reason) for item in reply.hypotheses]


def test_neighbours_do_not_change_what_is_drawn(make_engine, frontend, requests):
    sampling = Sampling(4, 24, temperature=0.8, top_p=0.95, seed=3)
    inputs = frontend.prepare(requests)
    replies = make_engine(batch_size=5).engine.sample(inputs, sampling)
    alone = make_engine(batch_size=1).engine
    for model_input, reply in zip(inputs[::3], replies[::3], strict=True):
        assert drawn(alone.sample([model_input], sampling)[0]) == drawn(reply)
    assert {reason for reply in replies for _, _, reason in drawn(reply)} == {"stop", "length"}
    assert len({answer for reply in replies for answer in drawn(reply)}) > len(inputs)


def test_what_is_recorded_is_the_model_s_own(make_engine, frontend, requests):
    """The same tokens, given to it as answers and found by a search, have the same numbers."""
    engine = make_engine().engine
    inputs = frontend.prepare(requests[:6])
    replies = engine.sample(inputs, Sampling(3, 24, temperature=0.5, top_p=0.9))
    for model_input, reply in zip(inputs, replies, strict=True):
        own = [item for item in reply.hypotheses if item.token_ids[0] not in engine._end_ids]
        answers = tuple(
            item.token_ids[: item.steps - (item.finish_reason == "stop")] for item in own
        )
        given = ForcedAnswers(answers, engine._end_ids)
        (scored,) = engine._replies([model_input], engine._decoder(given), 25, 1)
        for item, same in zip(own, scored.hypotheses, strict=True):
            assert item.sampled
            assert item.alpha == pytest.approx(sum(map(float, item.token_logprobs)), abs=1e-12)
            assert item.emotion_logits.shape == (item.steps, len(engine._recorded_ids))
            steps = item.steps
            np.testing.assert_allclose(
                item.token_logprobs[:steps], same.token_logprobs[:steps], rtol=2e-6, atol=1e-4
            )


def test_a_cold_sample_is_the_greedy_answer_with_its_numbers(make_engine, frontend, requests):
    engine = make_engine(beam_count=0)
    inputs = frontend.prepare(requests)
    cold = engine.engine.sample(inputs, Sampling(2, 24, temperature=1e-6))
    for reply, searched in zip(cold, engine.generate(inputs), strict=True):
        (greedy,) = searched.hypotheses
        for item in reply.hypotheses:
            assert item.token_ids == greedy.token_ids
            assert item.alpha == pytest.approx(greedy.alpha, rel=2e-6, abs=1e-4)
            np.testing.assert_allclose(item.emotion_logits, greedy.emotion_logits, atol=1e-4)


def test_penalties_are_refused(make_engine, frontend, requests):
    engine = make_engine(penalties=Penalties(repetition=1.1)).engine
    with pytest.raises(ConfigError, match="without penalties"):
        engine.sample(frontend.prepare(requests[:1]), Sampling(2, 4))
