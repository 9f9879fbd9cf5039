"""The prefix search against the batched one, on a made-up law of the next token."""

import numpy as np
import pytest
import torch
from made_up_law import VOCABULARY, MadeUp, log_sum_exp, logits_after, may_follow

from raypipe.engines.beam_search import BeamLanes, GreedyLane
from raypipe.engines.lanes import SearchSettings
from raypipe.engines.prefix_search import Continuations, PrefixSearch, kept_continuations
from raypipe.errors import DeadEndError

LIMIT = 12
RECORDED = (3, 7)


def searched(settings: SearchSettings, seed: int, sharpness: float):
    search, kept, asked = PrefixSearch(settings), kept_continuations(settings), []
    while prefixes := search.prefixes():
        assert len(set(prefixes)) == len(prefixes)
        answers = {}
        for prefix, allowed in prefixes.items():
            logits = seen = logits_after(prefix, seed, sharpness)
            if allowed is not None:
                bits = np.unpackbits(allowed, bitorder="little")[:VOCABULARY]
                seen = np.where(bits, logits, np.float32(-np.inf))
            best = np.argsort(-seen)[:kept]
            answers[prefix] = Continuations(
                log_sum_exp(logits), seen[best], best, logits[list(RECORDED)]
            )
        asked.append(len(prefixes))
        search.advance(answers)
    return search.traces(), asked


def batched(settings: SearchSettings, seed: int, sharpness: float):
    """The same search by the lanes of the tree decoder, one row, prefixes kept by hand."""
    ends, row = torch.tensor(settings.end_ids), torch.tensor([0])

    def given(prefixes: list[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
        logits = np.stack([logits_after(prefix, seed, sharpness) for prefix in prefixes])
        normalisers = torch.tensor([log_sum_exp(one) for one in logits])
        if settings.grammar is not None:
            logits[~np.stack([may_follow(prefix) for prefix in prefixes])] = -np.inf
        return torch.from_numpy(logits), normalisers

    beams = BeamLanes(1, settings.beam_count, settings.max_new_tokens, ends)
    tokens, parents = beams.start(row, *given([()]))
    prefixes: list[tuple[int, ...]] = [()]
    while True:
        pairs = zip(tokens[0].tolist(), parents[0].tolist(), strict=True)
        prefixes = [(*prefixes[parent], token) for token, parent in pairs]
        if bool(beams.done.all()):
            break
        logits, normalisers = given(prefixes)
        tokens, parents = beams.advance(logits[None], normalisers[None])
    greedy = GreedyLane(1, settings.max_new_tokens, ends, lane=0)
    prefix = tuple(greedy.start(row, *given([()])).tolist())
    while not bool(greedy.done.all()):
        prefix = (*prefix, *greedy.advance(*given([prefix])).tolist())
    return greedy.paths(row)[0], beams.paths(row)[0]


@pytest.mark.parametrize("grammar", [None, MadeUp()], ids=["anything", "grammar"])
@pytest.mark.parametrize("sharpness", [1.0, 4.0])
@pytest.mark.parametrize("end_ids", [(0,), (0, 5, 9)])
@pytest.mark.parametrize("beam_count", [1, 2, 5])
def test_hypotheses_are_those_of_the_batched_search(beam_count, end_ids, sharpness, grammar):
    settings = SearchSettings(beam_count, True, LIMIT, end_ids, RECORDED, grammar)
    reasons = set()
    for seed in range(12):
        traces, _ = searched(settings, seed, sharpness)
        greedy, beams = batched(settings, seed, sharpness)
        assert [trace.kind for trace in traces] == ["greedy"] + ["beam"] * beam_count
        assert [trace.rank for trace in traces] == [0, *range(beam_count)]
        for trace, path in zip(traces, [greedy, *beams], strict=True):
            assert trace.token_ids == path.token_ids
            assert trace.alpha == path.score
            np.testing.assert_array_equal(trace.token_logprobs, path.logprobs)
            reasons.add(trace.finish_reason)
    assert reasons == {"stop", "length"} or sharpness > 1


def test_a_prefix_that_two_lanes_share_is_asked_once():
    settings = SearchSettings(3, True, LIMIT, (0,), RECORDED)
    _, asked = searched(settings, 3, 4.0)
    assert asked[0] == 1
    assert max(asked) <= 4
    assert min(asked[1:]) == 3  # the greedy prefix is one of the beams' somewhere


class DeadEnd(MadeUp):
    """Lets token 3 through, and nothing after it."""

    @property
    def allowed(self):
        return np.array([0 if self.prefix else 8, 0, 0, 0], dtype=np.uint8)

    def after(self, token_id):
        return DeadEnd((*self.prefix, token_id))


@pytest.mark.parametrize(("beam_count", "greedy"), [(2, True), (0, True), (2, False)])
def test_an_answer_that_cannot_go_on_is_an_error(beam_count, greedy):
    settings = SearchSettings(beam_count, greedy, LIMIT, (0,), RECORDED, DeadEnd())
    traces, _ = searched(settings, 0, 1.0)
    assert isinstance(traces, DeadEndError)
