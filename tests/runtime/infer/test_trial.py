"""Some utterances through an engine whose answers are known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from in_process import InProcess, utterance

from raypipe.errors import ConfigError
from raypipe.runtime.infer.devices import NO_GPUS, Devices
from raypipe.runtime.infer.trial import Trial, try_some

SHARES = {"anger": 0.75, "disgust": 0.25}


@pytest.fixture
def corpus(fake_engine: None, tmp_path: Path) -> InProcess:
    runs = InProcess(tmp_path)
    runs.write(*(utterance(f"u{number}") for number in range(7)), rows_per_shard=3)
    return runs


def tried(runs: InProcess, count: int, devices: Devices = NO_GPUS, **changes: Any) -> Trial:
    model = {"engine": "fake", "path": "none", "options": {"shares": SHARES}}
    return try_some(runs.config(**{"model": model} | changes), count, lambda: devices)


def test_utterances_come_evenly_from_the_corpus(corpus: InProcess) -> None:
    names = [answer.utterance_id for answer in tried(corpus, 3).answers]
    assert names == ["u0", "u2", "u4"]
    assert len(tried(corpus, 100).answers) == 7
    limited = {"shards": str(corpus.shards), "limit": 2}
    assert [answer.utterance_id for answer in tried(corpus, 2, input=limited).answers] == [
        "u0",
        "u1",
    ]


def test_an_answer_is_shown_with_its_reading_beside_the_annotators(corpus: InProcess) -> None:
    trial = tried(corpus, 1, strategies=["greedy", "w_bon"])
    (answer,) = trial.answers
    assert trial.labels[:2] == ("anger", "disgust")
    assert answer.truth == (0.75, 0.05, 0.05, 0.05, 0.05, 0.05)
    assert [kind for kind, _ in answer.texts] == ["greedy", "beam", "beam", "beam"]
    greedy, _ = answer.predictions
    assert greedy.probs == (0.75, 0.25, 0.0, 0.0, 0.0, 0.0)
    assert greedy.reading == "json"
    # (KL(p||m) + KL(q||m)) / 2 in bits, with p and q as above.
    total = 0.0
    for p, q in zip(answer.truth, greedy.probs, strict=True):
        middle = (p + q) / 2
        total += sum(x * math.log2(x / middle) / 2 for x in (p, q) if x)
    assert greedy.js == pytest.approx(total)


def test_what_fails_and_what_cannot_be_read_is_shown(corpus: InProcess) -> None:
    options = {"fail": ["greedy"], "fail_ids": ["u0"]}
    model = {"engine": "fake", "path": "none", "options": options}
    (answer,) = tried(corpus, 1, model=model).answers
    assert answer.failure is not None
    assert answer.failure.startswith("engine, ")
    assert answer.predictions == ()


def test_the_estimate_is_for_all_utterances_and_replicas(corpus: InProcess) -> None:
    one = tried(corpus, 2, resources={"batch_size": 1})
    assert (one.rows, one.rows_of_run, one.actors) == (1, 1, 1)
    assert one.corpus_s == pytest.approx(one.load_s + 7 * one.answer_s)
    two = tried(corpus, 2, resources={"actors": 2})
    assert (two.rows, two.rows_of_run, two.actors) == (2, 16, 2)
    assert two.corpus_s == pytest.approx(two.load_s + 7 * two.answer_s / 2)
    cards = Devices(4, "made-up card", 1 << 34)
    resources = {"actors": "auto", "gpus_per_actor": "auto", "batch_size": "auto"}
    assert tried(corpus, 1, cards, resources=resources).actors == 4


def test_the_verifier_is_asked_too_whichever_it_is(corpus: InProcess) -> None:
    model = {"engine": "fake", "path": "none"}
    for verifier in ({}, {"model": model}):
        (answer,) = tried(corpus, 1, strategies=["alm_v"], verifier=verifier).answers
        assert answer.failure is None


def test_nothing_is_written(corpus: InProcess) -> None:
    tried(corpus, 2)
    assert not Path(corpus.tables.uri).exists()


def test_an_empty_corpus_is_refused(fake_engine: None, tmp_path: Path) -> None:
    runs = InProcess(tmp_path)
    runs.write()
    with pytest.raises(ConfigError, match="no utterance that could be tried"):
        tried(runs, 2)
