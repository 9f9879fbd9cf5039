import torch

from raypipe.engines.tree_cache import TreeCache

CPU = torch.device("cpu")
# With 2 lanes and 4 tokens at most, 3 are fed back: 6 slots, rounded up to 16; slot 16 is the
# border, and step s writes slots 16 - 2s and 17 - 2s.


def visible_slots(mask, row, window=(0, 0)):
    return [{slot + window[0] for slot in lane.nonzero()[:, 0].tolist()} for lane in mask[row, 0]]


def test_a_lane_sees_its_prompt_its_ancestors_and_itself():
    cache = TreeCache(2, 5, lane_count=2, max_new_tokens=4, device=CPU)
    cache.start(torch.tensor([0, 1]), torch.tensor([3, 5]))
    window = cache.set_window(3, 5)
    assert window == (0, 32)
    first = cache.branch(torch.tensor([[0, 0], [0, 0]]))
    assert visible_slots(first, 0) == [{14, 16, 17, 18}, {15, 16, 17, 18}]
    assert visible_slots(first, 1) == [{14, 16, 17, 18, 19, 20}, {15, 16, 17, 18, 19, 20}]
    second = cache.branch(torch.tensor([[1, 1], [1, 0]]))
    assert visible_slots(second, 0) == [{12, 15, 16, 17, 18}, {13, 15, 16, 17, 18}]
    assert visible_slots(second, 1) == [{12, 15, 16, 17, 18, 19, 20}, {13, 14, 16, 17, 18, 19, 20}]
    third = cache.branch(torch.tensor([[1, 0], [0, 1]]))
    assert visible_slots(third, 0) == [{10, 13, 15, 16, 17, 18}, {11, 12, 15, 16, 17, 18}]
    assert cache.positions.tolist() == [[3 + 2], [5 + 2]]


def test_a_row_starts_anew_while_the_other_goes_on():
    cache = TreeCache(2, 5, lane_count=2, max_new_tokens=4, device=CPU)
    cache.start(torch.tensor([0, 1]), torch.tensor([3, 5]))
    cache.set_window(3, 5)
    cache.branch(torch.tensor([[0, 0], [0, 0]]))
    cache.start(torch.tensor([1]), torch.tensor([2]))
    second = cache.branch(torch.tensor([[1, 0], [0, 0]]))
    assert visible_slots(second, 0) == [{12, 15, 16, 17, 18}, {13, 14, 16, 17, 18}]
    assert visible_slots(second, 1) == [{14, 16, 17}, {15, 16, 17}]
    assert cache.positions.tolist() == [[3 + 1], [2 + 0]]


def read_prompt(cache, rows, values):
    prompt = torch.tensor(values).view(len(rows), 1, -1, 1)
    writer = cache.start(torch.tensor(rows), torch.full((len(rows),), prompt.shape[2]))
    key, value = writer.update(prompt, -prompt, 0)
    assert key is prompt
    assert value.shape == prompt.shape


def test_a_slot_is_written_once_and_read_ever_after():
    cache = TreeCache(1, 2, lane_count=2, max_new_tokens=3, device=CPU)
    read_prompt(cache, [0], [[1.0, 2.0]])
    cache.set_window(2, 2)
    for step in (1, 2):
        mask = cache.branch(torch.tensor([[0, 1]]))
        token = torch.tensor([10.0, 11.0]).view(1, 1, 2, 1) * step
        keys, values = cache.update(token, -token, 0)
        assert keys.shape[2] == values.shape[2] == mask.shape[-1]
    written = [20.0, 22.0, 10.0, 11.0, 1.0, 2.0]
    assert keys.flatten().tolist()[12:18] == written
    assert (-values).flatten().tolist()[12:18] == written
    assert not mask[..., :12].any()
    assert not mask[..., 18:].any()


def test_what_an_utterance_left_behind_does_not_reach_the_next():
    cache = TreeCache(2, 2, lane_count=2, max_new_tokens=3, device=CPU)
    nan = float("nan")
    read_prompt(cache, [0, 1], [[1.0, 2.0], [nan, nan]])
    cache.set_window(2, 2)
    cache.branch(torch.tensor([[0, 0], [0, 0]]))
    cache.update(torch.full((2, 1, 2, 1), nan), torch.full((2, 1, 2, 1), nan), 0)
    cache.clear(torch.tensor([1]))
    read_prompt(cache, [1], [[3.0, 4.0]])
    cache.branch(torch.tensor([[0, 1], [0, 0]]))
    token = torch.ones(2, 1, 2, 1)
    keys, values = cache.update(token, token, 0)
    assert torch.isfinite(keys[1]).all()
    assert torch.isfinite(values[1]).all()
    assert keys[1].count_nonzero() == 4


def test_a_layer_that_writes_by_itself_writes_where_update_does():
    generator = torch.Generator().manual_seed(0)
    by_update, by_itself = (
        TreeCache(3, 5, lane_count=2, max_new_tokens=4, device=CPU) for _ in range(2)
    )
    rows = torch.tensor([2, 0])
    prompts = [cache.start(rows, torch.tensor([5, 4])) for cache in (by_update, by_itself)]
    key, value = torch.randn(2, 2, 4, 5, 3, generator=generator)  # 2 prompts, 4 heads, 5 tokens

    def write(places):
        places.keys[places.rows, :, places.slots] = key.transpose(1, 2).flatten(0, 1)
        places.values[places.rows, :, places.slots] = value.transpose(1, 2).flatten(0, 1)

    prompts[0].update(key, value, 0)
    write(prompts[1].places(0, 4, 3, torch.zeros(2, 5, 20)))
    for cache in (by_update, by_itself):
        cache.set_window(2, 5)
        cache.branch(torch.zeros(3, 2, dtype=torch.int64))
    key, value = torch.randn(2, 3, 4, 2, 3, generator=generator)
    by_update.update(key, value, 0)
    write(by_itself.places(0))
    for one, other in zip(by_update.window(0), by_itself.window(0), strict=True):
        assert one.count_nonzero() > 0
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_what_a_row_sees_lies_between_its_latest_tokens_and_the_end_of_its_prompt():
    cache = TreeCache(2, 50, lane_count=2, max_new_tokens=9, device=CPU)
    cache.start(torch.tensor([0, 1]), torch.tensor([50, 17]))
    for steps in range(1, 4):
        cache.set_window(steps, 50)
        visible = cache.branch(torch.tensor([[0, 1], [1, 0]]))
        for row in range(2):
            seen = visible[row, 0].any(0).nonzero()[:, 0]
            assert (cache.first[row], cache.stop[row]) == (seen[0], seen[-1] + 1)


def test_the_window_is_what_the_rows_in_use_need_aligned_for_fused_attention():
    cache = TreeCache(3, 90, lane_count=5, max_new_tokens=24, device=CPU)
    border = 128  # 23 steps of 5 lanes, aligned
    assert cache.set_window(1, 90) == (border - 16, border + 96)
    assert cache.set_window(4, 33) == (border - 32, border + 48)
    assert cache.set_window(23, 16) == (0, border + 16)
    cache.start(torch.tensor([0, 1, 2]), torch.tensor([1, 9, 33]))
    assert cache.set_window(3, 33) == (border - 16, border + 48)
    assert cache.branch(torch.zeros(3, 5, dtype=torch.int64)).shape == (3, 1, 5, 64)


def test_a_row_without_an_utterance_may_go_on_stepping():
    cache = TreeCache(1, 2, lane_count=2, max_new_tokens=3, device=CPU)
    read_prompt(cache, [0], [[1.0, 2.0]])
    cache.set_window(2, 2)
    for _ in range(9):
        mask = cache.branch(torch.tensor([[0, 1]]))
    assert mask.shape == (1, 1, 2, 32)
    assert cache.positions.tolist() == [[2 + 1]]
