"""The stand-in for a language model that relabels: what it answers, what it spoils."""

import json
from collections import Counter
from typing import Any

import openai
import pytest
from relabel_server import HARMLESS, ITEM_FAULTS, RelabelServer, item_key, relabel_server

from raypipe.tiny_alm.lexicon_reader import item_answer, items_of

LABELS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")


def prompt(count: int, start: int = 0) -> str:
    words = ("slightly angry", "triste", "agnry", "hmm", "tense, very happy")
    lines = [
        json.dumps(
            {
                "index": index,
                "descriptions": [words[index % len(words)]],
                "reference": dict(zip(LABELS, (0.2, 0.0, 0.0, 0.3, 0.5, 0.0), strict=True)),
            },
            ensure_ascii=False,
        )
        for index in range(start, start + count)
    ]
    return "\n".join(["Give a reason.", *lines])


def choice(server: RelabelServer, text: str) -> dict[str, Any]:
    """What the server says, without the way there."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    status, _, reply = server.script(body)
    assert status == 200
    return reply["choices"][0]


def content(server: RelabelServer, text: str) -> str:
    return choice(server, text)["message"]["content"]


def test_the_official_client_gets_the_lexicon_s_answers_and_its_errors():
    text = prompt(30)
    items = list(items_of(text))
    settings: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": text}]}
    with (
        relabel_server(item_faults=0.0) as server,
        openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client,
    ):
        for reply in [client.chat.completions.create(**settings) for _ in range(2)]:
            assert json.loads(reply.choices[0].message.content or "") == [
                item_answer(item) for item in items
            ]
        # 30 items, of which every fifth has the same words and votes.
        assert server.asked == {item_key(item): 12 for item in items}
        assert [len(request) for request in server.requests] == [30, 30]
        assert server.done == {"none": 60}
        cut = client.chat.completions.create(**settings, max_tokens=50)
        assert cut.choices[0].finish_reason == "length"
        assert len(cut.choices[0].message.content or "") == 200
        assert server.truncated == 1
        server.request_faults, server.request_kinds = 1.0, ("http_500",)
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(**settings)


@pytest.mark.parametrize("kind", ITEM_FAULTS)
def test_each_fault_of_an_item_is_the_one_named(kind):
    text = prompt(3, start=4)
    replies = json.loads(content(RelabelServer(item_faults=1.0, item_kinds=[kind]), text))
    right = [item_answer(item) for item in items_of(text)]
    indices = [reply["index"] for reply in replies]
    shares = [[*reply["distribution"].values()] for reply in replies]
    sums = [pytest.approx(sum(row), abs=0.01) for row in shares]
    expected = {
        "wrong_index": lambda: not {4, 5, 6} & {*indices} and len({*indices}) == 3,
        "another_index": lambda: indices == [5, 6, 4] and replies[0]["words"] == right[0]["words"],
        "twice": lambda: indices == [4, 4, 5, 5, 6, 6],
        "missing": lambda: replies == [],
        "one_too_few": lambda: {len(row) for row in shares} == {5},
        "above_one": lambda: sums == [1.0] * 3 and min(max(row) for row in shares) > 1.0,
        "sum_too_low": lambda: sums == [0.6] * 3,
        "wrong_label": lambda: all("anger" not in reply["distribution"] for reply in replies),
        "order_changed": lambda: [*replies[0]["distribution"]] == [*reversed(LABELS)],
        "no_reason": lambda: not any("reason" in reply for reply in replies),
    }
    assert json.dumps(replies) != json.dumps(right)
    assert expected[kind]()


def test_each_fault_of_a_request_is_the_one_named():
    def spoiled(kind: str) -> dict[str, Any]:
        return choice(RelabelServer(request_faults=1.0, request_kinds=[kind]), prompt(3))

    right = content(RelabelServer(), prompt(3))
    for kind in HARMLESS:
        assert right in spoiled(kind)["message"]["content"] != right
    assert spoiled("cut")["message"]["content"] == right[: len(right) // 2]
    assert spoiled("cut")["finish_reason"] == "length"
    assert spoiled("empty")["message"]["content"] == ""
    assert "{" not in spoiled("apology")["message"]["content"]


def test_what_is_spoiled_depends_on_the_seed_and_the_text_alone():
    texts = [prompt(10, start) for start in range(100)]

    def replies(seed: int) -> tuple[list[str], Counter[str]]:
        kinds = ("cut", "empty", "apology", *HARMLESS)
        faults = {"item_faults": 0.3, "request_faults": 0.1, "request_kinds": kinds}
        server = RelabelServer(seed=seed, **faults)
        return [content(server, text) for text in texts], server.done

    first, done = replies(1)
    assert replies(1)[0] == first
    assert replies(2)[0] != first
    spoiled = sum(done[kind] for kind in ITEM_FAULTS)
    assert spoiled / (spoiled + done["none"]) == pytest.approx(0.3, abs=0.06)
    assert all(done[kind] for kind in ITEM_FAULTS)
