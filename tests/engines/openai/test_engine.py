"""The engine against a real server, with and without faults in between."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chat_server import (
    END,
    LABELS,
    ChatServer,
    answer_text,
    api_config,
    chat_faults,
    clip_of,
    logprob_of,
    pieces,
)

from raypipe.config.api import BudgetConfig, OffersConfig, PricesConfig
from raypipe.engines.openai.usage import read_usage
from raypipe.errors import StoppedError
from raypipe.grammars import distribution_schema
from raypipe.records import EmotionTokens, EmotionWord, Failure, Generation
from raypipe.store.location import Location
from raypipe.strategies import Settings, predict

SETTINGS = Settings()


def test_one_request_at_temperature_0_and_one_for_all_candidates(
    server: ChatServer, make_engine: Callable[..., Any], clips: Callable[..., Any]
) -> None:
    api = api_config(server.base_url, temperature=0.7)
    (answer,) = make_engine(api).generate(clips(1, api))
    asked = sorted(server.seen, key=lambda body: body["temperature"])
    assert [(body["temperature"], body.get("n", 1)) for body in asked] == [(0.0, 1), (0.7, 3)]
    greedy, *samples = answer.hypotheses
    assert greedy.text == answer_text(asked[0], 0)
    assert {one.text for one in samples} == {answer_text(asked[1], number) for number in range(3)}
    assert not greedy.sampled
    assert all(one.sampled for one in samples)
    assert (answer.prompt_tokens, answer.audio_tokens) == (120, 100)


def test_alpha_is_the_sum_of_the_token_logprobs_and_ranks_the_samples(
    server: ChatServer, make_engine: Callable[..., Any], clips: Callable[..., Any]
) -> None:
    api = api_config(server.base_url)
    (answer,) = make_engine(api).generate(clips(1, api))
    for one in answer.hypotheses:
        expected = sum(logprob_of(piece) for piece in [*pieces(one.text), END])
        assert one.alpha == pytest.approx(expected, abs=1e-5)
        assert one.alpha_kind == "sum_logprob"
    alphas = [one.alpha for one in answer.hypotheses[1:]]
    assert alphas == sorted(alphas, reverse=True)
    assert [one.rank for one in answer.hypotheses[1:]] == [0, 1, 2]


def test_an_endpoint_that_gives_one_answer_at_a_time_is_asked_again(
    server: ChatServer, make_engine: Callable[..., Any], clips: Callable[..., Any]
) -> None:
    server.candidates = 1
    api = api_config(server.base_url, offers=OffersConfig(seed=False))
    (answer,) = make_engine(api).generate(clips(1, api))
    assert len(answer.hypotheses) == 4
    assert [body.get("n", 1) for body in server.seen] == [1, 3, 2, 1]


def test_without_logprobs_candidates_weigh_the_same_and_the_prediction_says_so(
    server: ChatServer, make_engine: Callable[..., Any], clips: Callable[..., Any]
) -> None:
    api = api_config(server.base_url, offers=OffersConfig(logprobs=False))
    (answer,) = make_engine(api).generate(clips(1, api))
    assert {one.alpha_kind for one in answer.hypotheses} == {"none"}
    assert {one.alpha for one in answer.hypotheses} == {None}
    tokens = EmotionTokens((), (), ())
    mixed, best = predict(answer.hypotheses, ["w_bon", "bon"], LABELS, tokens, SETTINGS)
    shares = [list(json.loads(one.text).values()) for one in answer.hypotheses[1:]]
    means = [sum(column) / 3 for column in zip(*shares, strict=True)]
    assert mixed.weighting == "uniform"
    assert mixed.probs == pytest.approx(means, abs=1e-2)
    assert best.invalid_reason == "no_alpha"


def test_chosen_tokens_are_recorded_as_logprobs(
    server: ChatServer, make_engine: Callable[..., Any], clips: Callable[..., Any]
) -> None:
    words = tuple(EmotionWord(name, name, (at,)) for at, name in enumerate(LABELS.names))
    tokens = EmotionTokens(words, tuple(range(6)), LABELS.names)
    api = api_config(server.base_url)
    (answer,) = make_engine(api, emotion_tokens=tokens).generate(clips(1, api))
    assert server.seen[0]["logprob_token_ids"] == list(range(6))
    greedy = answer.hypotheses[0]
    assert greedy.emotion_kind == "logprob"
    assert greedy.emotion_logits.shape == (greedy.steps, 6)
    soft, raw = predict([greedy], ["token_softmax", "token"], LABELS, tokens, SETTINGS)
    assert soft.probs.argmax() == 0
    assert raw.invalid_reason == "no_raw_logits"


def test_tokens_outside_the_list_are_unknown_not_unlikely(
    server: ChatServer, make_engine: Callable[..., Any], clips: Callable[..., Any]
) -> None:
    words = tuple(EmotionWord(name, name, (at,)) for at, name in enumerate(LABELS.names))
    tokens = EmotionTokens(words, tuple(range(6)), LABELS.names)
    api = api_config(server.base_url, offers=OffersConfig(token_ids=False))
    (answer,) = make_engine(api, emotion_tokens=tokens).generate(clips(1, api))
    greedy = answer.hypotheses[0]
    row = pieces(greedy.text).index("anger")
    assert greedy.emotion_logits[row, 0] == pytest.approx(logprob_of("anger"))
    assert set(map(str, greedy.emotion_logits[row, 1:])) == {"nan"}
    (soft,) = predict([greedy], ["token_softmax"], LABELS, tokens, SETTINGS)
    assert soft.invalid_reason == "logprobs_incomplete"


def test_a_refusal_is_an_invalid_answer_even_if_it_names_an_emotion(
    server: ChatServer, make_engine: Callable[..., Any], clips: Callable[..., Any]
) -> None:
    refusal = {"role": "assistant", "content": None, "refusal": "I cannot tell who is angry."}
    server.script = lambda body: (
        200,
        {},
        {"choices": [{"index": 0, "message": refusal, "finish_reason": "stop"}]},
    )
    api = api_config(server.base_url)
    (answer,) = make_engine(api, beam_count=0).generate(clips(1, api))
    assert answer.hypotheses[0].text == "I cannot tell who is angry."
    tokens = EmotionTokens((), (), ())
    (greedy,) = predict(answer.hypotheses, ["greedy"], LABELS, tokens, SETTINGS)
    assert (greedy.valid, greedy.invalid_reason) == (False, "refusal")


@pytest.mark.parametrize(
    ("status", "headers", "reply", "error_type", "attempts"),
    [
        (400, {}, {"error": {"message": "bad audio"}}, "refused_request", 1),
        (400, {}, {"error": {"message": "bad \ud83d audio"}}, "refused_request", 1),
        (429, {"Retry-After": "0.01"}, {"error": {"message": "slow"}}, "rate_limited", 3),
        (503, {}, b"<html>", "server_error", 3),
        (200, {}, b'{"choices": [{"mess', "bad_reply", 3),
        (200, {}, {"choices": []}, "bad_reply", 3),
        (200, {}, {"choices": [{"message": {"content": 7}}]}, "bad_reply", 3),
        (200, {}, {"error": {"message": "later"}}, "bad_reply", 3),
        (200, {}, [], "bad_reply", 3),
    ],
)
def test_what_is_no_answer_is_repeated_or_fails_with_its_reason(
    server: ChatServer,
    make_engine: Callable[..., Any],
    clips: Callable[..., Any],
    status: int,
    headers: dict[str, str],
    reply: Any,
    error_type: str,
    attempts: int,
) -> None:
    server.script = lambda body: (status, headers, reply)
    api = api_config(server.base_url, attempts=3)
    (answer,) = make_engine(api).generate(clips(1, api))
    assert isinstance(answer, Failure)
    assert (answer.utterance_id, answer.stage, answer.error_type) == ("u0", "engine", error_type)
    assert f"after {attempts} attempt" in answer.message
    assert len(server.seen) == attempts


def test_one_bad_clip_fails_alone(
    server: ChatServer, make_engine: Callable[..., Any], clips: Callable[..., Any]
) -> None:
    api = api_config(server.base_url)
    inputs = clips(9, api)
    server.script = lambda body: (
        (400, {}, {"error": {"message": "bad audio"}}) if clip_of(body) == inputs[4].audio else None
    )
    answers = make_engine(api).generate(inputs)
    assert [one.utterance_id for one in answers] == [f"u{number}" for number in range(9)]
    assert [at for at, one in enumerate(answers) if isinstance(one, Failure)] == [4]


def test_faults_on_the_way_lose_nothing_and_the_cache_answers_all_of_it(
    server: ChatServer, make_engine: Callable[..., Any], clips: Callable[..., Any]
) -> None:
    with chat_faults(server.base_url) as faults:
        api = api_config(faults.base_url, timeout_s=0.5, concurrency=32)
        inputs = clips(60, api)
        answers = make_engine(api).generate(inputs)
        assert all(isinstance(one, Generation) for one in answers)
        assert [one.utterance_id for one in answers] == [one.utterance_id for one in inputs]
        assert sum(faults.done.values()) - faults.done["none"] >= 20
        before = sum(faults.done.values())
        assert make_engine(api).generate(inputs)[7].hypotheses[0].text == (
            answers[7].hypotheses[0].text
        )
        assert sum(faults.done.values()) == before


def test_an_answer_is_the_same_whoever_else_is_asked(
    server: ChatServer, make_engine: Callable[..., Any], clips: Callable[..., Any], tmp_path: Path
) -> None:
    api = api_config(server.base_url)
    together = make_engine(api).generate(clips(5, api))
    elsewhere = Location.parse(str(tmp_path / "other"))
    alone = make_engine(api, cache=elsewhere).generate(clips(5, api)[3:4])
    texts = [[one.text for one in answer.hypotheses] for answer in (together[3], alone[0])]
    assert texts[0] == texts[1]


def test_a_spent_budget_stops_and_a_larger_one_continues_where_it_was(
    server: ChatServer, make_engine: Callable[..., Any], clips: Callable[..., Any], tmp_path: Path
) -> None:
    api = api_config(server.base_url, budget=BudgetConfig(requests=7))
    inputs = clips(10, api)
    with pytest.raises(StoppedError, match=r"7 requests is used up.*larger"):
        make_engine(api).generate(inputs)
    assert len(server.seen) == 7
    with pytest.raises(StoppedError):  # what an earlier process spent is not forgotten
        make_engine(api).generate(inputs)
    assert len(server.seen) == 7
    larger = api_config(server.base_url, budget=BudgetConfig(requests=20))
    answers = make_engine(larger).generate(inputs)
    assert all(isinstance(one, Generation) for one in answers)
    assert len(server.seen) == 20
    usage = read_usage(Location.parse(str(tmp_path / "ledger")))
    assert usage.requests == 20


def test_a_budget_in_money_is_never_exceeded(
    server: ChatServer, make_engine: Callable[..., Any], clips: Callable[..., Any], tmp_path: Path
) -> None:
    prices = PricesConfig(input=10.0, output=40.0, audio=100.0)
    api = api_config(server.base_url, prices=prices, budget=BudgetConfig(cost=0.2), concurrency=1)
    with pytest.raises(StoppedError, match=r"budget of 0.2 is used up"):
        make_engine(api).generate(clips(30, api))
    usage = read_usage(Location.parse(str(tmp_path / "ledger")))
    asked = usage.requests * (20 * 10.0 + 100 * 100.0)
    assert usage.cost == pytest.approx((asked + usage.output_tokens * 40.0) / 1e6)
    assert 0.15 < usage.cost <= 0.2


@pytest.mark.parametrize("status", [401, 404])
def test_a_refused_key_stops_the_run_without_repeating_it(
    server: ChatServer, make_engine: Callable[..., Any], clips: Callable[..., Any], status: int
) -> None:
    server.script = lambda body: (status, {}, {"error": {"message": "wrong key sk-123"}})
    api = api_config(server.base_url, concurrency=2)
    with pytest.raises(StoppedError, match=f"HTTP {status}") as caught:
        make_engine(api).generate(clips(20, api))
    assert "sk-123" not in str(caught.value)
    assert len(server.seen) <= 2


def test_an_endpoint_that_repeats_the_key_does_not_make_us_repeat_it(
    server: ChatServer,
    make_engine: Callable[..., Any],
    clips: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = "sk-raypipe-secret-0123456789abcdef"
    monkeypatch.setenv("RAYPIPE_TEST_KEY", key)
    caplog.set_level("DEBUG")
    api = api_config(server.base_url, key_variable="RAYPIPE_TEST_KEY", attempts=1)
    server.script = lambda body: (500, {}, {"error": {"message": f"{key} made me stumble"}})
    (failure,) = make_engine(api).generate(clips(1, api))
    assert failure.message.endswith("HTTP 500: [key] made me stumble")
    server.script = lambda body: (200, {}, {**server.reply(body), "seen": key})
    assert isinstance(make_engine(api).generate(clips(1, api))[0], Generation)
    server.key = "another"
    with pytest.raises(StoppedError, match="HTTP 401") as caught:
        make_engine(api).generate(clips(2, api)[1:])
    kept = [path.read_bytes() for path in tmp_path.rglob("*.json")]
    assert sum(b"[key]" in content for content in kept) == 2
    assert not any(key.encode() in content for content in kept)
    assert key not in str(caught.value) + caplog.text


def test_an_endpoint_that_is_down_stops_the_run_instead_of_filling_it_with_errors(
    make_engine: Callable[..., Any], clips: Callable[..., Any]
) -> None:
    api = api_config("http://127.0.0.1:9/v1", attempts=2)  # the discard port: nobody listens
    with pytest.raises(StoppedError, match=r"16 requests in a row.*2 attempts.*connection broke"):
        make_engine(api).generate(clips(40, api))


def test_a_spent_quota_stops_the_run(
    server: ChatServer, make_engine: Callable[..., Any], clips: Callable[..., Any]
) -> None:
    error = {"message": "You exceeded your quota", "code": "insufficient_quota"}
    server.script = lambda body: (429, {}, {"error": error})
    api = api_config(server.base_url)
    with pytest.raises(StoppedError, match="quota is spent"):
        make_engine(api).generate(clips(1, api))


def test_a_schema_names_every_label_and_room_to_think_is_added(
    server: ChatServer, make_engine: Callable[..., Any], clips: Callable[..., Any]
) -> None:
    api = api_config(server.base_url, reasoning_tokens=500, extra={"reasoning_effort": "low"})
    make_engine(api, grammar=distribution_schema(LABELS)).generate(clips(1, api))
    body = server.seen[0]
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["required"] == list(LABELS.names)
    assert schema["additionalProperties"] is False
    assert body["max_tokens"] == 596
    assert body["reasoning_effort"] == "low"


def test_audio_goes_as_a_url_where_the_endpoint_wants_one(
    server: ChatServer, make_engine: Callable[..., Any], clips: Callable[..., Any]
) -> None:
    api = api_config(server.base_url, preset="sglang", audio_format="flac")
    inputs = clips(1, api)
    make_engine(api, beam_count=0).generate(inputs)
    part = server.seen[0]["messages"][0]["content"][0]
    assert part["audio_url"]["url"].startswith("data:audio/flac;base64,")
    assert clip_of(server.seen[0]) == inputs[0].audio
