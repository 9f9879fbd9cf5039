"""vLLM's own server on the bundled model, against the transformers engine on the same clips."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import LABELS, api_config

from raypipe.audio import decode
from raypipe.engines.openai.frontend import OpenAIFrontend
from raypipe.engines.transformers import TransformersEngine, TransformersFrontend
from raypipe.grammars import distribution_schema
from raypipe.prompts import render_prompt
from raypipe.records import EmotionTokens, Generation, Request, Search
from raypipe.store.location import Location
from raypipe.strategies import Settings, predict
from raypipe.tiny_alm import checkpoint_path
from raypipe.tiny_alm.corpus import synthetic_utterances

# Another environment's python, where vLLM cannot live beside the rest.
PYTHON = os.environ.get("RAYPIPE_VLLM_PYTHON") or (sys.executable if find_spec("vllm") else None)
CHECKPOINT = os.environ.get("RAYPIPE_VLLM_CHECKPOINT") or str(checkpoint_path())
CLIPS, LIMIT = 6, 64

SETTINGS = json.loads((Path(CHECKPOINT) / "processor_config.json").read_text())
WINDOW_S = SETTINGS["feature_extractor"]["chunk_length"]

pytestmark = [
    pytest.mark.skipif(PYTHON is None, reason="vLLM is not installed"),
    pytest.mark.skipif(WINDOW_S != 30, reason=f"vLLM does not take a window of {WINDOW_S} s"),
]


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", CHECKPOINT]
    command += ["--served-model-name", "some-model", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--enforce-eager", "--max-model-len", "1400"]
    command += ["--max-num-seqs", "16", "--limit-mm-per-prompt", '{"audio": 1}']
    command += ["--kv-cache-memory-bytes", str(64 << 20), "--mm-processor-cache-gb", "0"]
    command += ["--generation-config", "vllm"]  # no sampling defaults of the checkpoint's own
    inside = {
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
    }
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=environment | inside
        )
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/health", server, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


def wait_until_healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 400
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"vLLM did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.5)


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    prompt = render_prompt("distribution", LABELS, fixed_sentences=True)
    return [
        Request(one.utterance_id, prompt, decode(one.audio, sampling_rate=16_000))
        for one in synthetic_utterances(CLIPS, seed=11, split="test")
    ]


@pytest.fixture(scope="module")
def tokens() -> EmotionTokens:
    return TransformersFrontend(CHECKPOINT).emotion_tokens(LABELS)


@pytest.fixture(scope="module")
def reference(requests: list[Request], tokens: EmotionTokens) -> list[Any]:
    """What the transformers engine answers greedily."""
    engine = TransformersEngine(
        CHECKPOINT,
        emotion_tokens=tokens,
        batch_size=CLIPS,
        device="cpu",
    )
    search = Search(beam_count=0, greedy=True, max_new_tokens=LIMIT)
    return engine.generate(TransformersFrontend(CHECKPOINT).prepare(requests), search)


def test_greedy_answers_are_those_of_transformers(
    base_url: str,
    make_engine: Callable[..., Any],
    requests: list[Request],
    tokens: EmotionTokens,
    reference: list[Any],
) -> None:
    api = api_config(base_url, timeout_s=120.0, tokenizer=CHECKPOINT)
    engine = make_engine(api, emotion_tokens=tokens, max_new_tokens=LIMIT)
    answers = engine.generate(OpenAIFrontend(api).prepare(requests))
    settings = Settings()
    for answer, expected in zip(answers, reference, strict=True):
        assert isinstance(answer, Generation), answer
        greedy, wanted = answer.hypotheses[0], expected.hypotheses[0]
        assert greedy.text == wanted.text
        assert greedy.token_ids == wanted.token_ids  # the token that ends the answer included
        assert greedy.alpha == pytest.approx(wanted.alpha, abs=1e-3)
        shift = wanted.emotion_logits - greedy.emotion_logits
        np.testing.assert_allclose(shift, shift[:, :1].repeat(shift.shape[1], 1), atol=2e-3)
        (ours,) = predict([greedy], ["token_softmax"], LABELS, tokens, settings)
        (theirs,) = predict([wanted], ["token_softmax"], LABELS, tokens, settings)
        np.testing.assert_allclose(ours.probs, theirs.probs, atol=1e-3)
        samples = answer.hypotheses[1:]
        assert len({one.token_ids for one in samples}) > 1
        for one in samples:
            assert one.alpha == pytest.approx(float(one.token_logprobs.sum()), abs=1e-4)
            assert one.alpha_kind == "sum_logprob"


def test_a_seed_repeats_the_candidates(
    base_url: str, make_engine: Callable[..., Any], requests: list[Request], tmp_path: Path
) -> None:
    api = api_config(base_url, timeout_s=120.0)
    inputs = OpenAIFrontend(api).prepare(requests[:2])
    texts = [
        [
            [one.text for one in answer.hypotheses]
            for answer in make_engine(
                api, max_new_tokens=LIMIT, cache=Location.parse(str(tmp_path / name))
            ).generate(inputs)
        ]
        for name in ("one", "two")
    ]
    assert texts[0] == texts[1]


def test_a_schema_holds_the_answer_to_one_number_per_label(
    base_url: str, make_engine: Callable[..., Any], requests: list[Request]
) -> None:
    api = api_config(base_url, timeout_s=120.0, audio_format="flac")
    grammar = distribution_schema(LABELS)
    engine = make_engine(api, beam_count=0, max_new_tokens=200, grammar=grammar)
    (answer,) = engine.generate(OpenAIFrontend(api).prepare(requests[:1]))
    assert isinstance(answer, Generation), answer
    assert set(json.loads(answer.hypotheses[0].text)) == set(LABELS.names)
