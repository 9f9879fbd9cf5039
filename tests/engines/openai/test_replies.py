"""Bodies that servers write are answers wherever an answer is in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from raypipe.engines.openai.replies import BadReplyError, Reply, Tokens, TokenStep, read_reply


def body(message: Any, usage: Any = None, **choice: Any) -> bytes:
    return json.dumps({"choices": [{"message": message, **choice}], "usage": usage}).encode()


def reply(content: Any = "anger", usage: Any = None, **choice: Any) -> Reply:
    return read_reply(body({"content": content}, usage, **choice))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        *((word, "stop") for word in ("stop", "STOP", "eos", "end_turn", "EOS_TOKEN", "", None, 7)),
        *((word, "length") for word in ("length", "LENGTH", "MAX_TOKENS", "max_tokens")),
        *((word, "content_filter") for word in ("content_filter", "SAFETY", "Recitation")),
        ("Refusal", "refusal"),
    ],
)
def test_finish_reasons_in_any_case_and_unknown_ones(written: object, read: str) -> None:
    [choice] = reply(finish_reason=written).choices
    assert (choice.text, choice.finish_reason) == ("anger", read)


def test_a_filter_may_leave_no_message() -> None:
    [choice] = read_reply(body(None, finish_reason="content_filter")).choices
    assert (choice.text, choice.finish_reason) == ("", "content_filter")


@pytest.mark.parametrize("reason", ["error", "ABORT"])
def test_an_answer_that_the_server_broke_off_is_asked_for_again(reason: str) -> None:
    with pytest.raises(BadReplyError, match="finish_reason"):
        reply(finish_reason=reason)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, None),
        ({}, None),
        ([], None),
        ({"prompt_tokens": None, "completion_tokens": 5}, None),
        ({"prompt_tokens": 12}, None),
        ({"prompt_tokens": "many", "completion_tokens": 5}, None),
        ({"prompt_tokens": 12, "completion_tokens": 5}, Tokens(12, None, 5)),
        ({"prompt_tokens": 12.0, "total_tokens": 20}, Tokens(12, None, 8)),
        (
            {"prompt_tokens": 12, "completion_tokens": 5, "prompt_tokens_details": None},
            Tokens(12, None, 5),
        ),
        (
            {
                **{"prompt_tokens": 12, "completion_tokens": 5},
                "prompt_tokens_details": {"audio_tokens": 9},
            },
            Tokens(12, 9, 5),
        ),
    ],
)
def test_usage_that_is_partial_leaves_the_cost_unknown(usage: Any, tokens: Tokens | None) -> None:
    read = reply(usage=usage)
    assert read.tokens == tokens
    assert read.choices[0].text == "anger"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "ang"}, {"type": "text", "text": "er"}], "anger"),
        ([{"type": "output_text", "text": "anger"}], "anger"),
        ([{"type": "thinking", "text": "fear?"}, {"type": "text", "text": "anger"}], "anger"),
        ([{"type": "reasoning", "reasoning": "fear?"}, "anger"], "anger"),
        ([{"type": "text", "text": None}], ""),
        ({"type": "text", "text": "anger"}, "anger"),
        ([], ""),
        (None, ""),
    ],
)
def test_content_in_parts(content: Any, text: str) -> None:
    assert reply(content).choices[0].text == text


@pytest.mark.parametrize("content", [None, "", [], " \n"])
def test_what_a_spoken_answer_says(content: Any) -> None:
    message = {"content": content, "audio": {"id": "a", "data": "UklG", "transcript": "anger"}}
    assert read_reply(body(message)).choices[0].text == "anger"
    assert read_reply(body({**message, "content": "fear"})).choices[0].text == "fear"


def test_choices_are_in_the_order_of_their_indices() -> None:
    choices = [
        {"index": index, "message": {"content": text}}
        for index, text in [(2, "c"), (0, "a"), (1, "b")]
    ]
    read = read_reply(json.dumps({"choices": choices}).encode())
    assert [choice.text for choice in read.choices] == ["a", "b", "c"]
    del choices[0]["index"]
    read = read_reply(json.dumps({"choices": choices}).encode())
    assert [choice.text for choice in read.choices] == ["a", "b", "c"]


@pytest.mark.parametrize("indices", [("1", "0"), (1.0, 0.0), (None, 0), (None, "0"), ("x", 0)])
def test_indices_that_are_no_whole_numbers(indices: tuple[object, object]) -> None:
    choices = [
        {"index": index, "message": {"content": text}}
        for index, text in zip(indices, "ba", strict=True)
    ]
    read = read_reply(json.dumps({"choices": choices}).encode())
    assert [choice.text for choice in read.choices] == ["a", "b"]


def test_a_log_probability_that_is_null_is_not_told() -> None:
    steps = [
        {"token": "ang", "logprob": None, "top_logprobs": [{"token": "fe", "logprob": None}]},
        {"token": "er", "logprob": -0.5, "top_logprobs": None},
    ]
    [choice] = reply(logprobs={"content": steps}).choices
    assert choice.steps == (TokenStep("ang", None, {}), TokenStep("er", -0.5, {}))


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"\ud83d anger", "\ufffd anger"),
        (r"anger \ude00", "anger \ufffd"),
        (r"\ud83d\ude00 anger", "😀 anger"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
    ],
)
def test_half_a_surrogate_becomes_valid_text(escaped: str, text: str) -> None:
    content = f'{{"choices": [{{"message": {{"content": "{escaped}"}}}}]}}'.encode()
    read = read_reply(content).choices[0].text
    assert read == text
    assert read.encode().decode() == text


@pytest.mark.parametrize(
    "content",
    [b"", b"[" * 100_000, b"7", b"null", body({"content": 7}), body({"content": [7]}), body(None)],
)
def test_what_is_no_answer(content: bytes) -> None:
    with pytest.raises(BadReplyError):
        read_reply(content)
