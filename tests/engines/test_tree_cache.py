import torch

from raypipe.engines.tree_cache import TreeCache


def visible_slots(mask, row):
    return [set(lane.nonzero()[:, 0].tolist()) for lane in mask[row, 0]]


def test_a_lane_sees_its_prompt_its_ancestors_and_itself():
    cache = TreeCache(torch.tensor([3, 5]), prompt_width=5, lane_count=2, max_new_tokens=4)
    first = cache.branch(torch.tensor([[0, 0], [0, 0]]))
    assert visible_slots(first, 0) == [{0, 1, 2, 5}, {0, 1, 2, 6}]
    assert visible_slots(first, 1) == [{0, 1, 2, 3, 4, 5}, {0, 1, 2, 3, 4, 6}]
    second = cache.branch(torch.tensor([[1, 1], [1, 0]]))
    assert visible_slots(second, 0) == [{0, 1, 2, 6, 7}, {0, 1, 2, 6, 8}]
    assert visible_slots(second, 1) == [{0, 1, 2, 3, 4, 6, 7}, {0, 1, 2, 3, 4, 5, 8}]
    third = cache.branch(torch.tensor([[1, 0], [0, 1]]))
    assert visible_slots(third, 0) == [{0, 1, 2, 6, 8, 9}, {0, 1, 2, 6, 7, 10}]


def test_a_slot_is_written_once_and_read_ever_after():
    cache = TreeCache(torch.tensor([2]), prompt_width=2, lane_count=2, max_new_tokens=3)
    prompt = torch.arange(2.0).view(1, 1, 2, 1)
    assert cache.update(prompt, -prompt, 0)[0] is prompt
    for step in (1, 2):
        mask = cache.branch(torch.tensor([[0, 1]]))
        token = torch.full((1, 1, 2, 1), 10.0 * step)
        keys, values = cache.update(token, -token, 0)
        assert keys.shape[2] == values.shape[2] == mask.shape[-1]
    written = [0.0, 1.0, 10.0, 10.0, 20.0, 20.0]
    assert keys.flatten().tolist()[:6] == written
    assert (-values).flatten().tolist()[:6] == written
    assert not mask[..., 6:].any()


def test_the_mask_s_key_axis_is_aligned_for_fused_attention():
    cache = TreeCache(torch.tensor([9]), prompt_width=9, lane_count=5, max_new_tokens=8)
    widths = [cache.branch(torch.zeros(1, 5, dtype=torch.int64)).shape[-1] for _ in range(7)]
    assert widths == [16, 32, 32, 32, 48, 48, 48]
