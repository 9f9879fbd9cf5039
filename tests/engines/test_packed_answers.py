from __future__ import annotations

import numpy as np
import torch

from raypipe.engines.forced_lanes import ForcedAnswers
from raypipe.engines.packed_answers import PackedAnswers, token_tree
from raypipe.engines.tree_cache import TreeCache
from raypipe.errors import EngineError

ANSWERS = ((3,), (4, 5), (4, 5, 2), (4, 3), (3, 3, 3))
ENDS = (0, 1)
VOCABULARY = 6
CPU = torch.device("cpu")


def law(prefix: tuple[int, ...]) -> torch.Tensor:
    """Made-up logits after some tokens."""
    seed = 7 + sum((at + 1) * 31 ** (at + 1) * token for at, token in enumerate(prefix))
    return torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(seed))


def test_every_beginning_is_one_token_that_sees_those_before_it() -> None:
    tree = token_tree(ANSWERS)
    assert tree.tokens == (3, 4, 5, 2, 3, 3, 3)
    assert tree.parents == (-1, -1, 1, 2, 1, 0, 5)
    assert tree.paths == ((0,), (1, 2), (1, 2, 3), (1, 4), (0, 5, 6))
    assert tree.depths == [0, 0, 1, 2, 1, 1, 2]
    seen = [{at for at, sees in enumerate(row) if sees} for row in tree.ancestors]
    assert seen == [{0}, {1}, {1, 2}, {1, 2, 3}, {1, 4}, {0, 5}, {0, 5, 6}]


def test_one_step_tells_what_lanes_tell_step_by_step() -> None:
    packed = PackedAnswers(ANSWERS, ENDS).lanes(2, CPU)
    tree = token_tree(ANSWERS)
    prefixes: list[tuple[int, ...]] = []
    for token, parent in zip(tree.tokens, tree.parents, strict=True):
        prefixes.append((token,) if parent < 0 else (*prefixes[parent], token))
    packed.start(torch.tensor([1]), law(())[None], [], ["u"])
    assert packed.tokens[1].tolist() == list(tree.tokens)
    assert not packed.done()[1]
    packed.advance(torch.stack([law(prefix) for prefix in prefixes]).expand(2, -1, -1))
    assert packed.done()[1]
    forced = ForcedAnswers(ANSWERS, ENDS).lanes(2, CPU)
    forced.start(torch.tensor([1]), law(())[None], [], ["u"])
    said: list[tuple[int, ...]] = [()] * len(ANSWERS)
    while not forced.done()[1]:
        said = [(*own, int(token)) for own, token in zip(said, forced.tokens[1], strict=True)]
        forced.advance(torch.stack([law(own) for own in said]).expand(2, -1, -1))
    for one, other in zip(packed.traces([1])[0], forced.traces([1])[0], strict=True):
        assert (one.token_ids, one.rank) == (other.token_ids, other.rank)
        np.testing.assert_allclose(one.token_logprobs, other.token_logprobs, rtol=1e-6)
        assert one.alpha == float(np.add.accumulate(one.token_logprobs, dtype=np.float64)[-1])


def test_a_row_whose_logits_are_no_numbers_is_an_error_and_a_new_one_begins_clean() -> None:
    lanes = PackedAnswers(ANSWERS, ENDS).lanes(2, CPU)
    nodes = len(token_tree(ANSWERS).tokens)
    lanes.start(torch.tensor([0, 1]), torch.zeros(2, VOCABULARY), [], [])
    broken = torch.zeros(2, nodes, VOCABULARY)
    broken[0, 1] = torch.nan
    lanes.advance(broken)
    assert lanes.spoiled([0, 1]) == [0]
    bad, good = lanes.traces([0, 1])
    assert isinstance(bad, EngineError)
    assert len(good) == len(ANSWERS)
    lanes.start(torch.tensor([0]), torch.zeros(1, VOCABULARY), [], [])
    assert lanes.spoiled([0, 1]) == []


def test_tokens_of_one_step_are_at_their_own_positions_and_see_what_is_before_them() -> None:
    settings = PackedAnswers(ANSWERS, ENDS)
    cache = TreeCache(2, 5, settings.lane_count, 2, CPU, tree=settings.tree)
    cache.start(torch.tensor([0, 1]), torch.tensor([3, 5]))
    start, _ = cache.set_window(1, 5)
    visible = cache.branch(torch.arange(settings.lane_count).repeat(2, 1))
    depths = token_tree(ANSWERS).depths
    assert cache.positions.tolist() == [[length + depth for depth in depths] for length in (3, 5)]
    border = start + visible.shape[-1] - 16  # the prompts' slots are rounded up to sixteen
    for row, length in enumerate((3, 5)):
        for lane, sees in enumerate(token_tree(ANSWERS).ancestors):
            own = visible[row, 0, lane]
            slots = {int(slot) + start for slot in own.nonzero()}
            first = border - settings.lane_count
            expected = {first + other for other, is_seen in enumerate(sees) if is_seen}
            assert slots == expected | {border + at for at in range(length)}
