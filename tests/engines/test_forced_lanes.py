from __future__ import annotations

import numpy as np
import torch

from raypipe.engines.forced_lanes import ForcedAnswers
from raypipe.errors import EngineError

GIVEN = ForcedAnswers(answers=((3,), (4, 5)), end_ids=(0, 1))
VOCABULARY = 6


def test_every_lane_is_told_its_own_tokens_and_its_likeliest_end() -> None:
    lanes = GIVEN.lanes(2, torch.device("cpu"))
    logits = torch.randn(3, 2, 2, VOCABULARY, generator=torch.Generator().manual_seed(5))
    lanes.start(torch.tensor([1]), logits[0, 1:, 0], [np.array([9])], ["u"])
    assert lanes.tokens[1].tolist() == [3, 4]
    lanes.advance(logits[1])
    assert lanes.tokens[1, 1].item() == 5
    assert not lanes.done()[1]
    lanes.advance(logits[2])
    assert lanes.done()[1]
    ((short, long),) = lanes.traces([1])
    logprobs = logits[:, 1].log_softmax(-1)
    ends = [int(logprobs[1, 0, :2].argmax()), int(logprobs[2, 1, :2].argmax())]
    assert (short.token_ids, long.token_ids) == ((3, ends[0]), (4, 5, ends[1]))
    expected = [logprobs[0, 0, 4], logprobs[1, 1, 5], logprobs[2, 1, ends[1]]]
    np.testing.assert_allclose(long.token_logprobs, expected, rtol=1e-6)
    np.testing.assert_allclose(
        short.token_logprobs, [logprobs[0, 0, 3], logprobs[1, 0, ends[0]]], rtol=1e-6
    )
    assert short.alpha == float(np.add.accumulate(short.token_logprobs, dtype=np.float64)[-1])
    assert (short.rank, long.rank, long.finish_reason) == (0, 1, "stop")


def test_a_row_whose_logits_are_no_numbers_is_an_error_and_a_new_one_begins_clean() -> None:
    lanes = GIVEN.lanes(2, torch.device("cpu"))
    logits = torch.zeros(2, VOCABULARY)
    lanes.start(torch.tensor([0, 1]), logits, [], [])
    broken = torch.zeros(2, 2, VOCABULARY)
    broken[0, 1] = torch.nan
    lanes.advance(broken)
    assert lanes.spoiled([0, 1]) == [0]
    assert lanes.done()[0]
    lanes.advance(torch.zeros(2, 2, VOCABULARY))
    bad, good = lanes.traces([0, 1])
    assert isinstance(bad, EngineError)
    assert len(good) == 2
    lanes.start(torch.tensor([0]), logits[:1], [], [])
    assert lanes.spoiled([0, 1]) == []
