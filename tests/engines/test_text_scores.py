"""The log-likelihood of given answers: as the model itself tells it, token by token."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hf_reference import Reference
from random_checkpoint import Shape

from raypipe.engines.transformers import TransformersEngine, TransformersFrontend
from raypipe.errors import EngineError
from raypipe.labels import label_set
from raypipe.records import Failure, Request, Search

LABELS = label_set("crema-d-6")
TEXTS = [form for name in LABELS.names for form in LABELS.written(name)]
TWO_ENDS = Shape(seed=2, end_tokens=("<|im_end|>", "<|endoftext|>"))
SHAPES = [
    pytest.param(Shape(), id="as usual"),
    pytest.param(TWO_ENDS, id="two ends"),
    pytest.param(Shape(family="audioflamingo3", seed=4, key_heads=2), id="Audio Flamingo 3"),
]


def told(reference: Reference, request: Request, text: str) -> tuple[tuple[int, ...], list[float]]:
    """Tokens of a text and its likeliest end, with the log-probabilities of the model's forward."""
    inputs = reference.inputs(request.prompt, request.samples)
    own = reference.processor.tokenizer.encode(text, add_special_tokens=False)
    prompt_tokens = inputs["input_ids"].shape[1]
    inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([own])], 1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    with torch.inference_mode():
        logits = reference.model(**inputs).logits[0, -len(own) - 1 :].double().log_softmax(-1)
    assert prompt_tokens + len(own) == inputs["input_ids"].shape[1]
    ends = torch.tensor(reference.model.generation_config.eos_token_id).reshape(-1)
    end = int(ends[logits[-1, ends].argmax()])
    token_ids = (*own, end)
    return token_ids, [float(logits[step, token]) for step, token in enumerate(token_ids)]


@pytest.mark.parametrize("shape", SHAPES)
def test_scores_are_those_of_the_model_s_own_forward_pass(
    make_checkpoint, emotion_tokens, requests, device, shape
):
    path = make_checkpoint(shape)
    frontend = TransformersFrontend(str(path))
    engine = TransformersEngine(
        str(path), emotion_tokens=emotion_tokens, batch_size=3, device=device
    )
    reference = Reference(path, emotion_tokens.token_ids, 8)
    asked = requests[3:10]
    replies = engine.score_texts(frontend.prepare(asked), TEXTS)
    lengths = set()
    for request, reply in zip(asked, replies, strict=True):
        assert reply.utterance_id == request.utterance_id
        assert [item.text for item in reply.hypotheses] == TEXTS
        assert [item.rank for item in reply.hypotheses] == list(range(len(TEXTS)))
        for item in reply.hypotheses:
            token_ids, logprobs = told(reference, request, item.text)
            assert (item.token_ids, item.finish_reason) == (token_ids, "stop")
            np.testing.assert_allclose(item.token_logprobs, logprobs, atol=2e-4)
            assert item.alpha == pytest.approx(sum(map(float, item.token_logprobs)), abs=1e-12)
            assert item.emotion_logits is None
            lengths.add(len(token_ids))
    assert len(lengths) > 1  # lanes end at different steps


def test_a_beam_that_says_the_same_has_the_same_log_likelihood(make_engine, frontend, requests):
    engine = make_engine(beam_count=5)
    inputs = frontend.prepare(requests)
    compared = 0
    for model_input, generation in zip(inputs, engine.generate(inputs), strict=True):
        ended = [item for item in generation.hypotheses if item.finish_reason == "stop"]
        tokenizer = engine.engine._tokenizer
        for item in ended:
            written = tokenizer.decode(item.token_ids[:-1])
            own = tokenizer.encode(written, add_special_tokens=False) if written else []
            if tuple(own) != item.token_ids[:-1] or not own:
                continue
            (reply,) = engine.engine.score_texts([model_input], [written])
            assert reply.hypotheses[0].alpha == pytest.approx(item.alpha, rel=2e-6, abs=1e-4)
            compared += 1
    assert compared


def test_neither_neighbours_nor_a_search_before_change_a_score(
    checkpoint, frontend, emotion_tokens, requests, device
):
    inputs = frontend.prepare(requests)
    scores = []
    for batch_size, searches in ((1, False), (7, True)):
        engine = TransformersEngine(
            str(checkpoint), emotion_tokens=emotion_tokens, batch_size=batch_size, device=device
        )
        if searches:
            engine.generate(inputs[:3], Search(2, True, 8))
        replies = engine.score_texts(inputs, TEXTS)
        scores.append([[item.alpha for item in reply.hypotheses] for reply in replies])
    np.testing.assert_allclose(scores[0], scores[1], atol=2e-4)


def test_a_bad_input_fails_alone_and_a_text_without_tokens_is_refused(
    make_engine, frontend, requests
):
    engine = make_engine().engine
    inputs = frontend.prepare(requests[:3])
    broken = np.full_like(inputs[1].features, np.nan)
    inputs[1] = dataclasses.replace(inputs[1], features=broken)
    first, second, third = engine.score_texts(inputs, TEXTS)
    assert isinstance(second, Failure)
    assert second.error_type == "invalid_input"
    alone = engine.score_texts([inputs[2]], TEXTS)[0]
    assert [item.alpha for item in third.hypotheses] == pytest.approx(
        [item.alpha for item in alone.hypotheses], abs=2e-4
    )
    assert len(first.hypotheses) == len(TEXTS)
    with pytest.raises(EngineError, match="no tokens of the text"):
        engine.score_texts(inputs, [""])
