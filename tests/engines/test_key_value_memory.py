"""Keys and values of a call go where those of earlier calls were, and nothing tells."""

import math

import numpy as np
import pytest
import torch

from raypipe.engines.key_value_memory import KeyValueMemory
from raypipe.engines.tree_decoder import TreeDecoder
from raypipe.records import Failure, Grammar

FEW = Grammar("regex", "(yes|no|maybe), (yes|no|maybe)")


def assert_equal_bits(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.utterance_id == other.utterance_id
        for mine, theirs in zip(one.hypotheses, other.hypotheses, strict=True):
            assert mine.token_ids == theirs.token_ids
            assert mine.alpha == theirs.alpha
            np.testing.assert_array_equal(mine.token_logprobs, theirs.token_logprobs)
            np.testing.assert_array_equal(mine.emotion_logits, theirs.emotion_logits)


def addresses(memory):
    return [part.data_ptr() for held in memory._layers.values() for part in held]


def test_what_fits_is_laid_out_in_the_memory_that_is_there():
    memory, like = KeyValueMemory(), torch.zeros(1)
    keys, values = memory.tensors(0, (4, 2, 6, 3), like)
    keys += 1
    before = addresses(memory)
    for shape in ((3, 2, 8, 3), (1, 2, 6, 3), (4, 2, 6, 3)):
        fewer, _ = memory.tensors(0, shape, like)
        assert fewer.shape == shape
        assert fewer.is_contiguous()
        assert fewer.data_ptr() == keys.data_ptr() != values.data_ptr()
    assert addresses(memory) == before
    memory.clear()
    assert not keys.any()


@pytest.mark.parametrize(
    ("shape", "like"), [((4, 2, 7, 3), torch.zeros(1)), ((4, 2, 6, 3), torch.zeros(1).half())]
)
def test_what_does_not_fit_or_is_of_another_kind_gets_memory_of_its_own(shape, like):
    memory = KeyValueMemory()
    memory.tensors(0, (4, 2, 6, 3), torch.zeros(1))[0].fill_(7)
    keys, values = memory.tensors(0, shape, like)
    assert keys.dtype == like.dtype
    assert not keys.any()
    assert not values.any()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("grammar", [None, FEW])
def test_a_short_shard_is_answered_as_if_nothing_had_run_before(
    make_engine, frontend, requests, dtype, grammar
):
    settings = {"batch_size": 6, "dtype": dtype, "grammar": grammar}
    inputs = frontend.prepare(requests)
    shards = inputs[:8], inputs[8:14], inputs[14:17], inputs[17:]
    engine = make_engine(**settings)
    together = [engine.generate(shard) for shard in shards]
    for shard, found in zip(shards, together, strict=True):
        assert_equal_bits(found, make_engine(**settings).generate(shard))
    # And those of the first after the smaller ones.
    assert_equal_bits(engine.generate(shards[0]), together[0])


def test_a_smaller_call_takes_no_new_memory(make_engine, frontend, requests):
    engine, inputs = make_engine(batch_size=6), frontend.prepare(requests)
    engine.generate(inputs)
    held = addresses(engine.decoder._memory)
    assert len(held) == 4  # two layers
    for call in (inputs[:1], inputs[3:8], inputs):
        engine.generate(call)
        assert addresses(engine.decoder._memory) == held


def test_where_steps_are_captured_a_smaller_call_takes_those_of_all_rows(
    make_engine, frontend, requests
):
    engine, captured = make_engine(batch_size=6), []
    inputs = sorted(frontend.prepare(requests), key=lambda one: -len(one.token_ids))
    lanes, widths, step = engine.decoder._settings, set(), engine._model.step
    engine._model.step = lambda tokens, *rest: widths.add(len(tokens)) or step(tokens, *rest)

    def capture(step):
        captured.append(step)
        return step

    def decoder():
        return TreeDecoder(engine._model, lanes, make_capture=lambda: capture)

    engine.decoder = decoder()
    for _ in range(2):
        engine.generate(inputs)
    slots, made, held = engine.decoder._slots, len(captured), addresses(engine.decoder._memory)
    few = [engine.generate(inputs[:count]) for count in (2, 5)]
    short = engine.generate(inputs[-3:])
    assert engine.decoder._slots is slots
    assert len(captured) == made > 0
    assert len(inputs[-1].token_ids) < len(inputs[0].token_ids) - 128
    assert addresses(engine.decoder._memory) == held
    assert widths == {6}
    engine.decoder = decoder()
    assert_equal_bits(short, engine.generate(inputs[-3:]))
    assert [one.batch_size for call in few for one in call] == [2] * 2 + [5] * 5
    for count, found in zip((2, 5), few, strict=True):
        engine.decoder = decoder()
        assert_equal_bits(found, engine.generate(inputs[:count]))


def test_numbers_that_were_none_are_not_left_to_the_next_call(make_engine, frontend, requests):
    engine, inputs = make_engine(batch_size=4, device="cpu"), frontend.prepare(requests[:4])
    expected = engine.generate(inputs[:2])
    layer = engine._model.language_model.layers[0]
    handle = layer.register_forward_pre_hook(lambda _, given: (given[0] * math.nan, *given[1:]))
    try:
        assert all(isinstance(one, Failure) for one in engine.generate(inputs))
    finally:
        handle.remove()
    assert_equal_bits(engine.generate(inputs[:2]), expected)
