"""The prefix search against the batched one, on a made-up law of the next token."""

import numpy as np
import pytest
import torch
from made_up_law import VOCABULARY, MadeUp, logits_after

from raypipe.engines.lanes import Lanes, SearchSettings, Trace
from raypipe.engines.prefix_search import Continuations, PrefixSearch, kept_continuations
from raypipe.engines.vllm.reading import read_rows, with_said
from raypipe.errors import DeadEndError
from raypipe.records import Penalties

LIMIT = 12
RECORDED = (3, 7)


PROMPT = np.array([3, 8, 3, 21, 5])
PENALTIES = (1.0, 1.3, 0.8)


def told(prefix, allowed, settings: SearchSettings, seed: int, sharpness: float) -> Continuations:
    """What vLLM's tap reads of the row of a prefix."""
    raw = torch.from_numpy(logits_after(prefix, seed, sharpness))[None]
    row, kept, repetition = raw.clone(), kept_continuations(settings), settings.penalties.repetition
    recorded = torch.tensor(settings.recorded_ids)
    (read,) = read_rows(row, [0], min(kept, VOCABULARY), recorded, [allowed])
    if not settings.penalties.any:
        return read
    said = torch.from_numpy(np.unique([*PROMPT, *prefix]).astype(np.int64))
    return with_said(read, raw[0], row[0], said, repetition)


def searched(settings: SearchSettings, seed: int, sharpness: float):
    search, asked = PrefixSearch(settings, PROMPT), []
    while prefixes := search.prefixes():
        assert len(set(prefixes)) == len(prefixes)
        answers = {}
        for prefix, allowed in prefixes.items():
            answers[prefix] = told(prefix, allowed, settings, seed, sharpness)
        asked.append(len(prefixes))
        search.advance(answers)
    return search.traces(), asked


def batched(settings: SearchSettings, seed: int, sharpness: float) -> list[Trace]:
    """The same search by the lanes of the tree decoder, one row, prefixes kept by hand."""
    lanes = Lanes(1, settings, torch.device("cpu"))

    def given(prefixes: list[tuple[int, ...]]) -> torch.Tensor:
        logits = [logits_after(prefix, seed, sharpness) for prefix in prefixes]
        return torch.from_numpy(np.stack(logits))

    lanes.start(torch.tensor([0]), given([()]), [PROMPT])
    prefixes: list[tuple[int, ...]] = [()] * settings.lane_count
    while not lanes.done()[0]:
        pairs = zip(lanes.tokens[0].tolist(), lanes.parents[0].tolist(), strict=True)
        prefixes = [(*prefixes[parent], token) for token, parent in pairs]
        lanes.advance(given(prefixes)[None])
    (traces,) = lanes.traces([0])
    assert isinstance(traces, list)
    return traces


@pytest.mark.parametrize("grammar", [None, MadeUp()], ids=["anything", "grammar"])
@pytest.mark.parametrize("sharpness", [1.0, 4.0])
@pytest.mark.parametrize("end_ids", [(0,), (0, 5, 9)])
@pytest.mark.parametrize("beam_count", [1, 2, 5])
@pytest.mark.parametrize("repetition", PENALTIES)
def test_hypotheses_are_those_of_the_batched_search(
    repetition, beam_count, end_ids, sharpness, grammar
):
    penalties = Penalties(repetition)
    settings = SearchSettings(beam_count, True, LIMIT, end_ids, RECORDED, grammar, penalties)
    reasons = set()
    for seed in range(12):
        traces, _ = searched(settings, seed, sharpness)
        expected = batched(settings, seed, sharpness)
        assert [trace.kind for trace in traces] == ["greedy"] + ["beam"] * beam_count
        assert [trace.rank for trace in traces] == [0, *range(beam_count)]
        for trace, other in zip(traces, expected, strict=True):
            assert trace.token_ids == other.token_ids
            assert trace.alpha == other.alpha
            assert trace.search_score == pytest.approx(other.search_score, abs=1e-5)
            assert (trace.search_score is None) is (repetition == 1.0)
            np.testing.assert_array_equal(trace.token_logprobs, other.token_logprobs)
            reasons.add(trace.finish_reason)
    assert reasons == {"stop", "length"} or sharpness > 1 or repetition != 1


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
