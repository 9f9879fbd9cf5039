"""What prompts begin with in common is read once; the answers are those of prompts read whole."""

import numpy as np
import pytest
import torch
from hf_reference import Reference
from random_checkpoint import Shape, sounds
from test_fused import merge
from test_transformers import (
    MAX_NEW_TOKENS,
    PROMPT,
    assert_answers_vary,
    assert_close,
    assert_equals_generate,
)

from raypipe.engines.shared_prefix import Prefixes, shared_lengths
from raypipe.engines.transformers import TransformersFrontend
from raypipe.engines.tree_decoder import TreeDecoder
from raypipe.records import Request

AUDIO = 99
CLIP_LAST = Shape(family="audioflamingo3", seed=4, key_heads=2)
"""Its chat template puts the clip after the text."""

PROMPTS = [PROMPT + " Listen to tone, pauses and energy first.", "Say what you hear. " + PROMPT]


def ids(*tokens):
    return np.array(tokens, dtype=np.int64)


def test_a_prefix_is_what_all_of_a_group_begin_with():
    prompts = [
        ids(1, 2, 3, 4, 9),
        ids(1, 2, 3, 5),
        ids(7, 7, 7, 1),
        ids(1, 2, 8, 9),
        ids(7, 7, 7, 2),
    ]
    assert shared_lengths(prompts, None, fewest=2) == [2, 2, 3, 2, 3]
    assert shared_lengths(prompts, None, fewest=3) == [3, 3, 3, 0, 3]
    assert shared_lengths(prompts, None, fewest=4) == [0, 0, 0, 0, 0]


def test_a_prefix_ends_before_the_clip_and_leaves_a_token():
    heard = [ids(1, 2, 3, AUDIO, AUDIO, 4), ids(1, 2, 3, AUDIO, 4)]
    assert shared_lengths(heard, AUDIO, fewest=2) == [3, 3]
    assert shared_lengths([ids(1, 2, 3), ids(1, 2, 3)], AUDIO, fewest=2) == [2, 2]
    assert shared_lengths([ids(1, 2, 3, 4), ids(1, 2, 3)], None, fewest=2) == [2, 2]


def test_a_prompt_alone_and_a_clip_at_the_beginning_share_nothing():
    assert shared_lengths([ids(1, 2, 3)], None, fewest=1) == [0]
    assert shared_lengths([], None) == []
    assert shared_lengths([ids(AUDIO, 1), ids(AUDIO, 1)], AUDIO, fewest=1) == [0, 0]


@pytest.fixture(scope="module")
def clip_last(make_checkpoint):
    return make_checkpoint(CLIP_LAST)


@pytest.fixture(scope="module")
def clip_last_frontend(clip_last):
    return TransformersFrontend(str(clip_last))


@pytest.fixture(scope="module")
def asked():
    clips = sounds([0.5, 4.1, 2.0, 1.37, 7.7, 3.3, 1.0, 5.01, 2.2], seed=7)
    return [Request(f"u{i}", PROMPTS[i % 2], clip) for i, clip in enumerate(clips)]


def reading(engine, monkeypatch):
    """Rows and tokens of every prompt pass, as they come."""
    passes, prefill = [], engine._model.prefill

    def noted(embeddings, lengths, slots):
        passes.append((len(lengths), int(lengths.sum()), slots.offset))
        return prefill(embeddings, lengths, slots)

    monkeypatch.setattr(engine._model, "prefill", noted)
    return passes


def unshared(engine):
    """Let an engine read every prompt whole."""
    decoder = engine.decoder
    engine.decoder = TreeDecoder(decoder._model, decoder._settings)
    return engine


@pytest.mark.parametrize("batch_size", [3, 9])
@pytest.mark.parametrize("fused", [False, True])
def test_answers_are_those_of_generate_and_of_prompts_read_whole(
    make_engine,
    clip_last,
    clip_last_frontend,
    emotion_tokens,
    asked,
    monkeypatch,
    batch_size,
    fused,
):
    engine = make_engine(clip_last, beam_count=4, batch_size=batch_size, fused=False)
    if fused:
        merge(engine)
    inputs = clip_last_frontend.prepare(asked)
    passes = reading(engine, monkeypatch)
    reference = Reference(clip_last, emotion_tokens.token_ids, MAX_NEW_TOKENS)
    shared = assert_equals_generate(engine, clip_last_frontend, reference, asked, 4)
    assert_answers_vary(shared)
    prefixes = [tokens for _, tokens, offset in passes if not offset]
    assert len(prefixes) == 2
    assert min(prefixes) >= 32
    read = sum(tokens for _, tokens, _ in passes)
    whole = sum(len(one.token_ids) for one in inputs)
    assert read == whole - sum(prefixes[i % 2] for i in range(len(inputs))) + sum(prefixes)
    passes.clear()
    assert_close(unshared(engine).generate(inputs), shared)
    assert sum(tokens for _, tokens, _ in passes) == whole


def test_a_prefix_is_read_once_for_all_calls(
    make_engine, clip_last, clip_last_frontend, asked, monkeypatch
):
    engine = make_engine(clip_last, beam_count=2)
    inputs = clip_last_frontend.prepare(asked)
    first = engine.generate(inputs)
    passes = reading(engine, monkeypatch)
    assert_close(engine.generate(inputs[::-1]), first[::-1])
    assert all(offset for _, _, offset in passes)
    engine._forget()
    passes.clear()
    engine.generate(inputs)
    assert [rows for rows, _, offset in passes if not offset] == [1, 1]


def test_questions_without_a_clip_share_what_they_begin_with(
    make_engine, frontend, reference, monkeypatch
):
    asked = [Request(f"u{i}", f"{PROMPT} She said: {text}", None) for i, text in enumerate("abc")]
    engine = make_engine()
    passes = reading(engine, monkeypatch)
    assert_equals_generate(engine, frontend, reference, asked, 3)
    (alone,) = [rows for rows, _, offset in passes if not offset]
    assert alone == 1
    assert {offset for _, _, offset in passes} == {0, passes[0][1]}


def test_no_more_prefixes_are_held_than_memory_is_counted_for(make_engine):
    prefixes = Prefixes(make_engine()._model)
    with torch.inference_mode():
        first, second, third = (prefixes.get(np.arange(n, n + 400)) for n in range(3))
        assert prefixes.get(np.arange(2, 402)) is third
        assert prefixes.get(np.arange(1, 401)) is second
        again = prefixes.get(np.arange(400))
        assert again is not first
        assert prefixes.get(np.arange(1, 401)) is second
        assert prefixes.get(np.arange(2, 402)) is not third


def test_rows_with_one_prefix_are_read_from_one_of_them(make_engine, device):
    engine = make_engine(beam_count=4)
    prefixes = Prefixes(engine._model)
    cache = engine.decoder._take_slots(4, 20).cache

    def start(rows, lengths, prefix):
        slots = cache.start(
            torch.tensor(rows, device=device), torch.tensor(lengths, device=device), prefix
        )
        own = torch.randn(len(rows), 4, 2, 32, device=device)
        key, value = slots.update(own, own, 0)
        assert key.shape == value.shape == (len(rows), 4, 2 + slots.offset, 32)
        cache.set_window(1, 20)
        cache.branch(torch.zeros(4, 5, dtype=torch.int64, device=device))
        return cache.shared

    with torch.inference_mode():
        long, short = (prefixes.get(np.arange(length)) for length in (5, 3))
        start([1, 3], [9, 8], long)
        start([0], [7], short)
        shared = start([2], [6], None)
        assert (shared.stop - shared.start).tolist() == [3, 5, 0, 5]
        assert shared.sources.tolist()[:2] == [0, 1]
        assert shared.sources[3] == 1
        keys, _ = cache.tensors(0)
        prompt = cache.prompt_slots(0, 5)
        assert torch.equal(keys[1, :, prompt], keys[3, :, prompt])
        assert keys[1, :, prompt].count_nonzero() == 4 * 5 * 32
        # The row that was read from takes another utterance.
        assert start([1], [2], None).sources[3] == 3
