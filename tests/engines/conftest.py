"""Random checkpoints, made once per session, and what transformers' generate() says about them."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside this file

from hf_reference import Reference
from random_checkpoint import Shape, save_checkpoint, sounds
from searching import Searching, split_search

from raypipe.engines.transformers import TransformersEngine, TransformersFrontend
from raypipe.labels import label_set
from raypipe.records import EmotionTokens, Request

MAX_NEW_TOKENS = 24
PROMPT = "Which emotion does the speaker express? Answer with one JSON object."

# Real lengths, hop boundaries on both sides, an odd and an even number of encoder frames, the
# shortest clip that generate() can answer (two audio tokens: a single one sends it down a legacy
# path that fails), and the whole window to the sample.
DURATIONS_S = [0.0701, 0.11, 0.5, 1.0, 1.005, 1.37, 2.0, 2.2, 3.333, 4.1, 5.01, 7.7, 11.3, 16.25]
DURATIONS_S += [22.2, 29.97, 29.99999, 30.0]


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> str:
    """Where engines run: ``cpu``, or what ``--device`` says."""
    asked: str = pytestconfig.getoption("--device")
    return asked


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory) -> Callable[[Shape], Path]:
    made: dict[Shape, Path] = {}

    def make(shape: Shape) -> Path:
        if shape not in made:
            made[shape] = tmp_path_factory.mktemp("checkpoint")
            save_checkpoint(made[shape], shape)
        return made[shape]

    return make


@pytest.fixture(scope="session")
def checkpoint(make_checkpoint) -> Path:
    return make_checkpoint(Shape())


@pytest.fixture(scope="session")
def frontend(checkpoint) -> TransformersFrontend:
    return TransformersFrontend(str(checkpoint))


@pytest.fixture(scope="session")
def emotion_tokens(frontend) -> EmotionTokens:
    return frontend.emotion_tokens(label_set("crema-d-6"))


@pytest.fixture(scope="session")
def requests() -> list[Request]:
    # Neither ascending nor descending: a batch of six holds short and long clips.
    shuffled = DURATIONS_S[::2] + DURATIONS_S[1::2]
    clips = sounds(shuffled, seed=7)
    prompts = [PROMPT, PROMPT + " Listen to tone, pauses and energy first."]
    return [Request(f"u{i}", prompts[i % 2], clip) for i, clip in enumerate(clips)]


@pytest.fixture(scope="session")
def reference(checkpoint, emotion_tokens) -> Reference:
    return Reference(checkpoint, emotion_tokens.token_ids, MAX_NEW_TOKENS)


@pytest.fixture
def make_engine(checkpoint, emotion_tokens, device) -> Callable[..., Searching]:
    def make(path: Path = checkpoint, **changes) -> Searching:
        settings = {
            "emotion_tokens": emotion_tokens,
            "beam_count": 3,
            "greedy": True,
            "max_new_tokens": MAX_NEW_TOKENS,
            "batch_size": 6,
            "device": device,
        }
        search, own = split_search(settings | changes)
        return Searching(TransformersEngine(str(path), **own), search)

    return make
