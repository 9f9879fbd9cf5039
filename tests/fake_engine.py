"""An engine without a model: it answers what a test says, at once and in this process.

It goes through the same door as every other engine: :data:`PLUGIN` is an ``EnginePlugin``, and the
fixture ``fake_engine`` of ``tests/conftest.py`` lets a config call it ``model: {engine: fake}``.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from pydantic import Field

from raypipe.engines.contract import CheckedEngine, Tagged
from raypipe.engines.plugins import EnginePlugin, EngineSettings, ModelSettings, PluginOptions
from raypipe.labels import LABEL_SETS, LabelSet
from raypipe.protocols import Capabilities
from raypipe.records import (
    EmotionTokens,
    EmotionWord,
    Failure,
    Generation,
    Hypothesis,
    Request,
    Search,
)

RATE = 16_000
PROMPT_TOKENS, AUDIO_TOKENS = 20, 8


class FakeOptions(PluginOptions):
    """What the fake engine is told.

    Attributes:
        shares: of the labels in its answers, by label; empty for some that depend on the clip's
            id and the prompt alone.
        fail: what a question must hold to get no answer: ``beams``, ``greedy``, ``long`` (an
            answer of more than 200 tokens), ``scores``; only for ids in ``fail_ids``, if any.
        poison: what an engine does that is asked about an utterance, by its id: a key of
            :data:`DEEDS`, or one of ``wrong_type``, ``too_few``, ``another``, ``surrogate`` for its
            answers.
        clips: what its frontend does that prepares a clip, by its id: a key of :data:`DEEDS`.
        loading: what an engine does that is loaded: a key of :data:`DEEDS`.
        log: file to which it writes the ids of every call, and ``load``.
    """

    shares: dict[str, float] = Field(default_factory=dict)
    fail: tuple[str, ...] = ()
    fail_ids: tuple[str, ...] = ()
    poison: dict[str, str] = Field(default_factory=dict)
    clips: dict[str, str] = Field(default_factory=dict)
    loading: str | None = None
    log: str | None = None


def _raise() -> None:
    raise ValueError("told to raise")


def _fill_memory() -> None:
    held = np.ones(100_000_000)  # 0.8 GB
    time.sleep(3600)
    del held


DEEDS: Mapping[str, Any] = MappingProxyType(
    {
        "raise": _raise,
        "exit": partial(os._exit, 3),
        "sys_exit": partial(exec, "raise SystemExit(4)"),
        "parent": lambda: os.kill(os.getppid(), signal.SIGKILL),
        "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
        "hang": partial(time.sleep, 3600),
        "memory": _fill_memory,
    }
)
"""What ends a call."""


@dataclass(frozen=True, slots=True)
class FakeInput:
    """A request as the fake engine takes it."""

    utterance_id: str
    prompt: str
    seconds: float | None


class FakeFrontend:
    """The CPU half: nothing is made of a clip but its length."""

    sampling_rate = RATE
    max_duration_s = 8.0

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings

    def prepare(self, requests: Sequence[Request]) -> list[FakeInput | Failure]:
        for request in requests:
            if request.utterance_id in self._settings.options.clips:
                DEEDS[self._settings.options.clips[request.utterance_id]]()
        return [
            FakeInput(
                request.utterance_id,
                request.prompt,
                None if request.samples is None else len(request.samples) / RATE,
            )
            for request in requests
        ]

    def with_prompt(self, prepared: FakeInput, prompt: str) -> FakeInput:
        return FakeInput(prepared.utterance_id, prompt, prepared.seconds)

    def emotion_tokens(self, labels: LabelSet) -> EmotionTokens:
        words = tuple(EmotionWord(name, name, (at,)) for at, name in enumerate(labels.names))
        return EmotionTokens(words, tuple(range(len(labels))), labels.names)


class FakeEngine:
    """The accelerator half: answers depend on the utterance's id, the prompt and the rank alone."""

    capabilities = Capabilities(
        beams=True, emotion_logits=True, token_logprobs=True, more=frozenset({"text_scores"})
    )

    def __init__(self, settings: EngineSettings) -> None:
        self._options: FakeOptions = settings.model.options
        self._tokens = settings.emotion_tokens
        self.asked: list[tuple[Search | str, tuple[str, ...]]] = []
        self._log("load")
        if self._options.loading is not None:
            DEEDS[self._options.loading]()

    def _log(self, line: str) -> None:
        if self._options.log is not None:
            with Path(self._options.log).open("a") as file:
                file.write(f"{line}\n")

    def audio_cache(self) -> AbstractContextManager[None]:
        return nullcontext()

    def generate(self, inputs: Sequence[FakeInput], search: Search) -> list[Generation | Failure]:
        self.asked.append((search, tuple(item.utterance_id for item in inputs)))
        self._log(" ".join(item.utterance_id for item in inputs))
        poison = self._options.poison
        for item in inputs:
            if poison.get(item.utterance_id) in DEEDS:
                DEEDS[poison[item.utterance_id]]()
        kinds = ["greedy"] * search.greedy + ["beam"] * search.beam_count
        about = {"greedy"} if search.greedy else set()
        about |= {"beams"} if search.beam_count else set()
        about |= {"long"} if search.max_new_tokens > 200 else set()
        replies = [
            self._failure(item, about) or self._generation(item, kinds, search.max_new_tokens)
            for item in inputs
        ]
        deeds = {poison.get(item.utterance_id) for item in inputs}
        if "too_few" in deeds:
            replies.pop()
        return [
            self._spoilt(reply, poison.get(item.utterance_id))
            for item, reply in zip(inputs, replies, strict=False)
        ]

    @staticmethod
    def _spoilt(reply: Any, how: str | None) -> Any:
        if how == "wrong_type":
            return "angry"
        if how == "another":
            return replace(reply, utterance_id="somebody else")
        if how == "surrogate":
            first, *rest = reply.hypotheses
            return replace(reply, hypotheses=(replace(first, text="half \ud83d"), *rest))
        return reply

    def score_texts(
        self, inputs: Sequence[FakeInput], texts: Sequence[str]
    ) -> list[Generation | Failure]:
        """The log-likelihood of every text as the answer; the capability ``text_scores``."""
        self.asked.append(("scores", tuple(item.utterance_id for item in inputs)))
        return [
            self._failure(item, {"scores"})
            or Generation(
                item.utterance_id,
                tuple(
                    Hypothesis(
                        kind="text",
                        rank=rank,
                        text=text,
                        token_ids=(rank,),
                        token_logprobs=None,
                        alpha=-1.0 - _share(item, text),
                        finish_reason="stop",
                        emotion_logits=None,
                    )
                    for rank, text in enumerate(texts)
                ),
                PROMPT_TOKENS,
                AUDIO_TOKENS,
            )
            for item in inputs
        ]

    def _failure(self, item: FakeInput, about: set[str]) -> Failure | None:
        concerned = not self._options.fail_ids or item.utterance_id in self._options.fail_ids
        reasons = about & set(self._options.fail)
        if not reasons or not concerned:
            return None
        return Failure(item.utterance_id, "engine", "made_up", f"told to fail at {min(reasons)}")

    def _generation(self, item: FakeInput, kinds: Sequence[str], limit: int) -> Generation:
        ranks = {"greedy": 0, "beam": 0}
        hypotheses = []
        for kind in kinds:
            hypotheses.append(self._hypothesis(item, kind, ranks[kind], limit))
            ranks[kind] += 1
        return Generation(item.utterance_id, tuple(hypotheses), PROMPT_TOKENS, AUDIO_TOKENS, 16)

    def _hypothesis(self, item: FakeInput, kind: str, rank: int, limit: int) -> Hypothesis:
        names = self._tokens.token_strings
        shares = self._options.shares or {
            name: round(_share(item, f"{name}{kind}{rank}"), 3) for name in names
        }
        text = "0.75" if "Candidate" in item.prompt or "candidate" in item.prompt else None
        if "arousal:" in item.prompt:
            names_of = ("arousal", "valence", "dominance")
            text = json.dumps({name: round(1 + 4 * _share(item, name), 2) for name in names_of})
        steps = min(3, limit)
        logits = np.array([[1.0 + _share(item, name) for name in names]] * steps, dtype=np.float32)
        logprobs = np.full(steps, -0.5 - rank / 4, dtype=np.float32)
        return Hypothesis(
            kind=kind,
            rank=rank,
            text=text or json.dumps(shares),
            token_ids=tuple(range(steps)),
            token_logprobs=logprobs,
            alpha=float(logprobs.sum(dtype=np.float64)),
            finish_reason="stop",
            emotion_logits=logits,
        )


def _share(item: FakeInput, text: str) -> float:
    """A number in [0, 1] that only the id and the text decide."""
    digest = hashlib.blake2b(f"{item.utterance_id}\0{text}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") / 2**32


PLUGIN = EnginePlugin(
    frontend=FakeFrontend,
    engine=FakeEngine,
    capabilities=FakeEngine.capabilities,
    options=FakeOptions,
)


def offer_in(folder: Path, name: str = "fake") -> None:
    """Write what pip writes about a package that offers an engine; for other processes.

    Args:
        folder: on the path of those.
        name: of the engine, whose plug-in is ``PLUGIN`` of the module ``NAME_engine``.
    """
    facts = folder / f"raypipe_{name}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: raypipe-{name}\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[raypipe.engines]\n{name} = {name}_engine:PLUGIN\n")


_SETTINGS: dict[str, Any] = {
    "path": "none",
    "revision": None,
    "dtype": "float32",
    "device": "cpu",
    "trust_remote_code": False,
}


def checked_engine(**options: Any) -> CheckedEngine:
    """A fake engine as a run has it."""
    model = ModelSettings(options=FakeOptions(**options), **_SETTINGS)
    frontend = FakeFrontend(model)
    tokens = frontend.emotion_tokens(LABEL_SETS["crema-d-6"])
    settings = EngineSettings(model, tokens, batch_size=16, threads=None)
    return CheckedEngine("fake", FakeEngine(settings), len(tokens.token_ids), several=True)


def tagged(*names: str) -> list[Tagged]:
    """Inputs of the fake engine about some utterances."""
    return [Tagged(name, FakeInput(name, "Which emotion?", 1.0)) for name in names]
