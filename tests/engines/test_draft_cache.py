"""Slots of guessed tokens: who sees whom, and what is free again."""

import pytest
import torch

from raypipe.engines.draft_cache import DraftCache

CPU = torch.device("cpu")


@pytest.fixture
def cache():
    made = DraftCache(2, 4, lane_count=2, max_new_tokens=5, device=CPU, spare=3)
    made.start(torch.tensor([0, 1]), torch.tensor([4, 3]))
    return made


def step(cache, steps, before, lanes, depths):
    """Fed tokens are numbered: the slot of each node holds its number, row by row."""
    lanes, depths = torch.tensor(lanes), torch.tensor(depths)
    cache.set_draft_window(steps, lanes.shape[1], 4)
    visible = cache.branch_draft(torch.tensor(before), lanes, depths)
    numbers = cache.next_number + torch.arange(lanes.numel()).view(lanes.shape)
    cache.next_number += lanes.numel()
    fed = numbers.float()[:, None, :, None]
    cache.hold(0, 1, 1, fed)
    keys, _ = cache.update(fed, fed, 0)
    seen = [
        [
            {int(number) for number in keys[row, 0, visible[row, 0, node], 0] if number > 0}
            for node in range(lanes.shape[1])
        ]
        for row in range(len(lanes))
    ]
    return numbers.tolist(), seen


def test_a_node_sees_its_lane_s_path_and_the_guesses_before_it(cache):
    cache.next_number = 1
    lanes, depths = [[0, 1, 0, 1, 0], [0, 1, 1, -1, -1]], [[0, 0, 1, 1, 2], [0, 0, 1, 0, 0]]
    (one, two), seen = step(cache, 1, [[0, 0], [0, 0]], lanes, depths)
    assert seen[0] == [{one[0]}, {one[1]}, {one[0], one[2]}, {one[1], one[3]}, {*one[::2]}]
    assert seen[1] == [{two[0]}, {two[1]}, {two[1], two[2]}, {two[3]}, {two[4]}]
    # Both lanes of row 0 go on from the deepest node; those of row 1 from its first token.
    (three, four), seen = step(cache, 4, [[4, 4], [0, 0]], [[0, 1], [0, 1]], [[0, 0], [0, 0]])
    path = {*one[::2]}
    assert seen[0] == [path | {three[0]}, path | {three[1]}]
    assert seen[1] == [{two[0], four[0]}, {two[0], four[1]}]


def test_the_slots_of_what_nobody_follows_are_free_again(cache):
    cache.next_number = 1
    lanes, depths = [[0, 1, 0, 0, 0]] * 2, [[0, 0, 1, 2, 3]] * 2
    chosen: set[int] = set()
    for steps in range(1, 5):  # no guess is ever right
        numbers, seen = step(cache, steps, [[0, 1]] * 2, lanes, depths)
        chosen.add(numbers[0][0])
        assert seen[0][0] == chosen
        assert cache._slots.min() >= 0
        assert all(len(set(row)) == 5 for row in cache._slots.tolist())


def test_a_row_without_an_utterance_takes_no_slots_for_good(cache):
    cache.next_number = 1
    for _ in range(20):
        cache.start(torch.tensor([0]), torch.tensor([4]))
        _, seen = step(cache, 1, [[0, 0]] * 2, [[0, 1], [-1, -1]], [[0, 0]] * 2)
        assert [len(node) for node in seen[1]] == [1, 1]


def test_an_utterance_sees_nothing_of_the_one_before(cache):
    cache.next_number = 1
    step(cache, 1, [[0, 0]] * 2, [[0, 1, 0]] * 2, [[0, 0, 1]] * 2)
    cache.start(torch.tensor([1]), torch.tensor([2]))
    numbers, seen = step(cache, 2, [[2, 2], [0, 0]], [[0, 1]] * 2, [[0, 0]] * 2)
    assert seen[1] == [{numbers[1][0]}, {numbers[1][1]}]
    assert len(seen[0][0]) == 3
