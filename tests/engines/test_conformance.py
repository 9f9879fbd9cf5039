"""Every engine and every search against the same list of properties."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chat_server import api_config, chat_server
from checkpoint_parts import save_text
from conformance import LIMIT, PROPERTIES, Subject
from made_up_law import VOCABULARY, MadeUp, log_sum_exp, logits_after, may_follow
from random_checkpoint import sounds

from raypipe.engines.contract import CheckedEngine, CheckedFrontend
from raypipe.engines.engine import EnginePlugin, EngineSettings, ModelSettings
from raypipe.engines.lanes import Lanes, SearchSettings, Trace
from raypipe.engines.plugins import PluginOptions, load_plugin
from raypipe.engines.prefix_search import Continuations, PrefixSearch, kept_continuations
from raypipe.engines.replies import hypothesis
from raypipe.engines.text_plugin import text_plugin
from raypipe.labels import label_set
from raypipe.protocols import Capabilities
from raypipe.records import (
    EmotionTokens,
    Failure,
    Generation,
    Grammar,
    Hypothesis,
    Request,
    Search,
)
from raypipe.store.location import Location
from raypipe.tiny_alm import checkpoint_path

EVERYTHING = Capabilities(beams=True, emotion_logits=True, token_logprobs=True)
PROMPTS = (
    "Which emotion does the speaker express?",
    "Answer with one JSON object: anger, sadness.",
    "The words were: not now. The voice was loud and high.",
    "Listen to tone, pauses and energy first.",
)
WORDS = Grammar("regex", "[a-z]{1,4}( [a-z]{1,3})?")
IN_VLLM = os.environ.get("RAYPIPE_TEST_VLLM_HERE") == "1"
"""Set in a process of its own: vLLM changes the one it runs in."""


# --- searches, on a made-up law ------------------------------------------------------------------

END_IDS, RECORDED = (0, 5), (3, 7)
NO_PROMPT = np.array([], dtype=np.int64)


class Letters:
    """Writes a token as a letter."""

    def decode(self, token_ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        return "".join(chr(65 + token_id) for token_id in token_ids)


@dataclasses.dataclass(frozen=True)
class Seed:
    """An utterance of a made-up law; None in place of a seed makes its logits not finite."""

    utterance_id: str
    seed: int | None


def law(asked: Seed, prefix: tuple[int, ...]) -> np.ndarray:
    if asked.seed is None:
        return np.full(VOCABULARY, np.nan, np.float32)
    return logits_after(prefix, asked.seed, 2.0)


def settings_of(search: Search) -> SearchSettings:
    return SearchSettings(
        search.beam_count,
        search.greedy,
        search.max_new_tokens,
        END_IDS,
        RECORDED,
        None if search.grammar is None else MadeUp(),
    )


def by_prefixes(inputs: Sequence[Seed], search: Search) -> list[list[Trace] | Exception]:
    settings = settings_of(search)
    answers: list[list[Trace] | Exception] = []
    for asked in inputs:
        running, kept = PrefixSearch(settings, NO_PROMPT), kept_continuations(settings)
        while prefixes := running.prefixes():
            told = {}
            for prefix, allowed in prefixes.items():
                logits = seen = law(asked, prefix)
                if allowed is not None:
                    bits = np.unpackbits(allowed, bitorder="little")[:VOCABULARY]
                    seen = np.where(bits, logits, np.float32(-np.inf))
                best = np.argsort(-seen, kind="stable")[:kept]
                recorded = logits[list(RECORDED)]
                told[prefix] = Continuations(log_sum_exp(logits), seen[best], best, recorded)
            running.advance(told)
        answers.append(running.traces())
    return answers


def by_tensors(inputs: Sequence[Seed], search: Search) -> list[list[Trace] | Exception]:
    """All rows at once, their prefixes kept by hand."""
    if not inputs:
        return []
    settings, rows = settings_of(search), list(range(len(inputs)))
    lanes = Lanes(len(inputs), settings, torch.device("cpu"))
    logits = torch.from_numpy(np.stack([law(one, ()) for one in inputs]))
    lanes.start(torch.tensor(rows), logits, [NO_PROMPT] * len(rows))
    prefixes: list[list[tuple[int, ...]]] = [[()] * settings.lane_count for _ in rows]
    while not all(lanes.done()):
        steps = zip(prefixes, lanes.tokens.tolist(), lanes.parents.tolist(), strict=True)
        prefixes = [
            [(*row[parent], token) for token, parent in zip(tokens, parents, strict=True)]
            for row, tokens, parents in steps
        ]
        logits = [
            [law(one, prefix) for prefix in row] for one, row in zip(inputs, prefixes, strict=True)
        ]
        lanes.advance(torch.from_numpy(np.array(logits)))
    return list(lanes.traces(rows))


def searched(find: Callable[..., list[list[Trace] | Exception]]) -> Callable[..., Any]:
    def generate(inputs: Sequence[Seed], search: Search) -> list[Generation | Failure]:
        replies: list[Generation | Failure] = []
        for asked, traces in zip(inputs, find(inputs, search), strict=True):
            if isinstance(traces, Exception):
                failure = Failure(asked.utterance_id, "engine", "not_finite", str(traces))
                replies.append(failure)
                continue
            written = tuple(hypothesis(trace, Letters()) for trace in traces)
            replies.append(Generation(asked.utterance_id, written, None, None))
        return replies

    return generate


def follows_the_made_up_grammar(each: Hypothesis) -> bool:
    ids = each.token_ids
    return all(may_follow(ids[:step])[token_id] for step, token_id in enumerate(ids))


def search_subject(find: Callable[..., Any], *, broken: bool = True) -> Subject:
    more = {"oracle", "token_ids", "grammar"} | ({"broken"} if broken else set())
    return Subject(
        generate=searched(find),
        inputs=[Seed(f"u{seed}", seed) for seed in range(6)],
        gives=EVERYTHING.given | more,
        broken=Seed("broken", None),
        grammar=(Grammar("regex", "made up"), follows_the_made_up_grammar),
        logits_after=law,
        end_ids=END_IDS,
        recorded_ids=RECORDED,
    )


@pytest.fixture(scope="module")
def tensor_search() -> Subject:
    return search_subject(by_tensors)


@pytest.fixture(scope="module")
def prefix_search() -> Subject:
    # What is not finite never reaches it: the engine that asks refuses it before.
    return search_subject(by_prefixes, broken=False)


# --- engines, through the door -------------------------------------------------------------------


class Folders:
    """Where an engine may keep things in a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def in_output(self, name: str) -> Location:
        return Location.parse(str(self.folder / name))

    def at(self, uri: str) -> Location:
        return Location.parse(uri)


def made(name: str, plugin: EnginePlugin, folder: Path, **model: Any) -> tuple[Any, Any, Any]:
    """Both halves of an engine as a run makes them, and the tokens that are recorded."""
    given = {"revision": None, "dtype": "float32", "device": "cpu", "trust_remote_code": False}
    settings = ModelSettings(**{"options": plugin.options(), **given, **model})
    frontend = CheckedFrontend(name, plugin.frontend(settings))
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    engine = plugin.engine(
        EngineSettings(settings, tokens, 3, 1, searches=SEARCHES, folders=Folders(folder))
    )
    several = "hypotheses" in plugin.offered(settings).given
    return frontend, CheckedEngine(name, engine, len(tokens.token_ids), several=several), tokens


def every_search(**changes: Any) -> tuple[Search, ...]:
    """All that the properties ask for."""
    wanted = [(3, True, LIMIT), (0, True, LIMIT), (3, False, LIMIT), (1, True, LIMIT)]
    wanted += [(3, True, 1), (3, True, 3)]
    return (*(Search(*one) for one in wanted), Search(3, True, LIMIT, WORDS))


SEARCHES = every_search()


def model_logits(path: Path, architecture: str) -> Callable[[Any, tuple[int, ...]], np.ndarray]:
    """transformers' own forward pass over a whole text, without any cache."""
    import transformers

    model = getattr(transformers, architecture).from_pretrained(path, dtype=torch.float32).eval()

    def after(tagged: Any, prefix: tuple[int, ...]) -> np.ndarray:
        token_ids = np.concatenate([tagged.prepared.token_ids, np.array(prefix, dtype=np.int64)])
        with torch.inference_mode():
            return model(input_ids=torch.from_numpy(token_ids)[None]).logits[0, -1].numpy()

    return after


def local_subject(
    name: str, path: Path, folder: Path, inputs: list[Request], device: str, **more: Any
) -> Subject:
    plugin = load_plugin(name)
    frontend, engine, tokens = made(name, plugin, folder, path=str(path), device=device)
    prepared = frontend.prepare(inputs)
    inner = prepared[0].prepared
    broken = dataclasses.replace(inner, utterance_id="broken", token_ids=np.array([10**6]))
    matches = re.compile(WORDS.source)
    from transformers import GenerationConfig

    ends = GenerationConfig.from_pretrained(path).eos_token_id
    gives = {"broken", "grammar", "token_ids"} | ({"oracle"} if more else set())
    return Subject(
        generate=engine.generate,
        inputs=prepared,
        gives=plugin.capabilities.given | gives,
        broken=dataclasses.replace(prepared[0], utterance_id="broken", prepared=broken),
        grammar=(WORDS, lambda each: matches.fullmatch(each.text) is not None),
        end_ids=(ends,) if isinstance(ends, int) else tuple(ends),
        recorded_ids=tokens.token_ids,
        **more,
    )


def questions() -> list[Request]:
    return [Request(f"text {i}", prompt, None) for i, prompt in enumerate(PROMPTS)]


def questions_about_clips() -> list[Request]:
    clips = sounds([0.6, 2.2, 1.0, 4.1], seed=5)
    return [Request(f"clip {i}", PROMPTS[i], clip) for i, clip in enumerate(clips)]


@pytest.fixture(scope="module")
def transformers_tree(checkpoint: Path, tmp_path_factory: Any, device: str) -> Subject:
    oracle = model_logits(checkpoint, "Qwen2AudioForConditionalGeneration")
    folder = tmp_path_factory.mktemp("kept")
    return local_subject(
        "transformers", checkpoint, folder, questions(), device, logits_after=oracle
    )


@pytest.fixture(scope="module")
def transformers_tree_with_clips(checkpoint: Path, tmp_path_factory: Any, device: str) -> Subject:
    folder = tmp_path_factory.mktemp("kept")
    return local_subject("transformers", checkpoint, folder, questions_about_clips(), device)


@pytest.fixture(scope="module")
def transformers_plain(tmp_path_factory: Any, device: str) -> Subject:
    path, folder = tmp_path_factory.mktemp("windowed"), tmp_path_factory.mktemp("kept")
    save_text(path, "Gemma3ForCausalLM", sliding_window=16, num_hidden_layers=2)
    oracle = model_logits(path, "Gemma3ForCausalLM")
    return local_subject("transformers", path, folder, questions(), device, logits_after=oracle)


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: Any) -> Subject:
    folder = tmp_path_factory.mktemp("kept")
    return local_subject("vllm", checkpoint_path(), folder, questions_about_clips(), "cpu")


@pytest.fixture(scope="module")
def openai(tmp_path_factory: Any) -> Iterator[Subject]:
    pytest.importorskip("openai")
    plugin = load_plugin("openai")
    labels = "Emotions: anger, sadness.\n"
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (4, 800)).astype(np.float32)
    requests = [Request(f"u{i}", labels, samples) for i, samples in enumerate(noise)]
    refused = "Emotions: nothing to choose.\n"

    def script(body: Any) -> Any:
        if refused not in body["messages"][0]["content"][1]["text"]:
            return None
        return 400, {}, {"error": {"message": "no"}}

    with chat_server(script=script) as server:
        options = api_config(server.base_url)
        frontend, engine, _ = made(
            "openai", plugin, tmp_path_factory.mktemp("kept"), path="some-model", options=options
        )
        inputs = frontend.prepare(requests)
        (broken,) = frontend.prepare([Request("broken", refused, noise[0])])
        # A sample is not a search: its ids are not told, and one is not the greedy answer.
        yield Subject(
            generate=engine.generate,
            inputs=inputs,
            gives=engine.capabilities.given | {"broken"},
            broken=broken,
        )


class Parrot:
    """Answers with the question, except when there is none."""

    def __init__(self, settings: EngineSettings) -> None:
        del settings

    def answer(self, requests: Sequence[Request], max_new_tokens: int) -> list[str | Failure]:
        assert max_new_tokens > 0
        silence = ("engine", "speechless", "there is no question")
        return [one.prompt or Failure(one.utterance_id, *silence) for one in requests]


@pytest.fixture(scope="module")
def text_alone(tmp_path_factory: Any) -> Subject:
    plugin = text_plugin(Parrot, sampling_rate=16_000, max_duration_s=30.0)
    frontend, engine, _ = made("parrot", plugin, tmp_path_factory.mktemp("kept"), path="x")
    clips = questions_about_clips()
    (broken,) = frontend.prepare([Request("broken", "", clips[0].samples)])
    return Subject(
        generate=engine.generate,
        inputs=frontend.prepare(clips),
        gives=plugin.capabilities.given | {"broken"},
        broken=broken,
    )


class LawFrontend:
    """The CPU half of a plug-in whose model is the made-up law."""

    sampling_rate, max_duration_s = 16_000, 30.0

    def __init__(self, settings: ModelSettings) -> None:
        del settings

    def prepare(self, requests: Sequence[Request]) -> list[Seed]:
        return [Seed(one.utterance_id, int(one.prompt) if one.prompt else None) for one in requests]

    def emotion_tokens(self, labels: Any) -> EmotionTokens:
        return EmotionTokens((), RECORDED, ("d", "h"))


class LawEngine:
    """Its other half, which searches by tensors."""

    capabilities = EVERYTHING

    def __init__(self, settings: EngineSettings) -> None:
        assert settings.emotion_tokens.token_ids == RECORDED

    def generate(self, inputs: Sequence[Seed], search: Search) -> list[Generation | Failure]:
        return searched(by_tensors)(inputs, search)


@pytest.fixture(scope="module")
def plug_in(tmp_path_factory: Any) -> Subject:
    plugin = EnginePlugin(LawFrontend, LawEngine, EVERYTHING, PluginOptions)
    frontend, engine, _ = made("law", plugin, tmp_path_factory.mktemp("kept"), path="x")
    *inputs, broken = frontend.prepare(
        [*(Request(f"u{seed}", str(seed), None) for seed in range(5)), Request("bad", "", None)]
    )
    return Subject(
        generate=engine.generate,
        inputs=inputs,
        gives=plugin.capabilities.given | {"broken", "oracle", "token_ids"},
        broken=broken,
        logits_after=lambda tagged, prefix: law(tagged.prepared, prefix),
        end_ids=END_IDS,
        recorded_ids=RECORDED,
    )


# --- the table -----------------------------------------------------------------------------------

SEARCHED = EVERYTHING.given | {"token_ids"}
OWN = frozenset({"seeded_samples", "text_scores"})

SUBJECTS: Mapping[str, frozenset[str]] = {
    "tensor_search": SEARCHED | {"oracle", "grammar", "broken"},
    "prefix_search": SEARCHED | {"oracle", "grammar"},
    "transformers_tree": SEARCHED | OWN | {"oracle", "grammar", "broken"},
    "transformers_tree_with_clips": SEARCHED | OWN | {"grammar", "broken"},
    "transformers_plain": SEARCHED | OWN | {"oracle", "grammar", "broken"},
    "vllm": SEARCHED | {"grammar", "broken"},
    "openai": frozenset({"samples", "hypotheses", "token_logprobs", "broken"}),
    "text_alone": frozenset({"broken"}),
    "plug_in": SEARCHED | {"oracle", "broken"},
}
"""Every subject, the name of its fixture, with what it gives."""

CASES = [
    pytest.param(name, holds, id=f"{name}-{holds.__name__}")
    for name, gives in SUBJECTS.items()
    for holds, needs in PROPERTIES.items()
    if needs <= gives and (name == "vllm") == IN_VLLM
]


@pytest.mark.parametrize(("name", "holds"), CASES)
def test_it_holds(
    name: str, holds: Callable[[Subject], None], request: pytest.FixtureRequest
) -> None:
    subject: Subject = request.getfixturevalue(name)
    assert subject.gives == SUBJECTS[name]
    holds(subject)


def test_nothing_is_needed_that_no_subject_gives() -> None:
    assert frozenset().union(*PROPERTIES.values()) <= frozenset().union(*SUBJECTS.values())


@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
@pytest.mark.skipif(IN_VLLM, reason="this is the process that it starts")
def test_vllm_holds_to_it_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "pytest", "-q", __file__, "-k", "test_it_holds"]
    environment = os.environ | {
        "RAYPIPE_TEST_VLLM_HERE": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_built_in_engine_is_a_subject() -> None:
    from raypipe.engines.plugins import BUILT_IN

    for engine in BUILT_IN:
        assert any(name.startswith(engine) for name in SUBJECTS), engine
