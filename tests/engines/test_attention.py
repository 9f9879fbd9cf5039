import pytest
import torch
from transformers import Qwen2Config

from raypipe.engines.attention import tree_attention, using_tree_attention


def by_definition(query, key, value, mask, scaling):
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = (query @ key.transpose(2, 3) * scaling).masked_fill(~mask, float("-inf"))
    return (scores.softmax(-1) @ value).transpose(1, 2)


@pytest.mark.parametrize("key_heads", [1, 2, 6])
@pytest.mark.parametrize("causal", [False, True])
def test_it_is_attention(key_heads, causal):
    generator = torch.Generator().manual_seed(key_heads)
    queries, keys = (7, 7) if causal else (3, 7)
    query = torch.randn(2, 6, queries, 8, generator=generator)
    key, value = torch.randn(2, 2, key_heads, keys, 8, generator=generator)
    mask = torch.rand(2, 1, queries, keys, generator=generator) > 0.4
    mask[..., 0] = True
    if causal:
        mask = torch.ones(7, 7, dtype=torch.bool).tril().expand(2, 1, 7, 7)
    module = torch.nn.Identity()
    attended, _ = tree_attention(module, query, key, value, None if causal else mask, scaling=0.3)
    expected = by_definition(query, key, value, mask, 0.3)
    torch.testing.assert_close(attended, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("key_heads", [1, 2, 6])
@pytest.mark.parametrize("queries", [1, 4, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_prompt_after_a_prefix_sees_all_of_it_and_itself_up_to_each_token(
    key_heads, queries, dtype, device
):
    generator = torch.Generator().manual_seed(queries)
    query = torch.randn(2, 6, queries, 8, generator=generator)
    key, value = torch.randn(2, 2, key_heads, 9, 8, generator=generator)
    mask = torch.tensor([[seen <= 9 - queries + q for seen in range(9)] for q in range(queries)])
    given = (x.to(device, dtype) for x in (query, key, value))
    attended, _ = tree_attention(torch.nn.Identity(), *given, None, scaling=0.3)
    expected = by_definition(query, key, value, mask.expand(2, 1, queries, 9), 0.3)
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(attended.float().cpu(), expected, atol=tolerance, rtol=tolerance)


def test_the_model_s_own_attention_comes_back_even_after_an_error():
    config, other = Qwen2Config(), Qwen2Config()
    config._attn_implementation = other._attn_implementation = "sdpa"

    def fail():
        with using_tree_attention(config):
            assert config._attn_implementation == "raypipe_tree"
            assert other._attn_implementation == "sdpa"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert config._attn_implementation == "sdpa"
