"""A real server that writes rationales as a stand-in teacher, and breaks rules as it is told.

What it breaks is a function of the seed and the transcript; told which rule was broken, it obeys,
or breaks it again as often as it is told to.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import soundfile
from chat_server import Body, chat_server, clip_of, text_of
from good_rationales import GoodRationale, broken

from raypipe.tiny_alm.scripted_teacher import quoted_words, scripted_rationale

_CONTENT = re.compile(r"^Given the Content: (.*)$", re.MULTILINE)
_EMOTION = re.compile(r"^Emotion: (.*)$", re.MULTILINE)
_LABELS = {
    **{"Angry": "anger", "Sad": "sadness", "Happy": "happiness", "Surprise": "surprise"},
    **{"Fear": "fear", "Disgust": "disgust", "Contempt": "contempt", "Neutral": "neutral"},
}
REFUSED = "Your last reasoning was refused"


@dataclass
class RationaleServer:
    """What the server does, and what it has seen.

    Attributes:
        seed: of everything that goes wrong.
        share: of utterances whose first drafts break a rule, in [0, 1].
        rules: that it breaks, equally likely.
        obeys_after: drafts that break the rule before one keeps it.
        measured: whether rationales state what is measured in the clip; else it is made up.
        wait_s: before every answer.
        asked: requests by transcript.
        clips: number of requests that came with a clip.
        broken: drafts by the rule that they break; ``none`` counts good ones.
    """

    base_url: str = ""
    seed: int = 0
    share: float = 0.0
    rules: Sequence[str] = ()
    obeys_after: int = 1
    measured: bool = False
    wait_s: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    prompts: list[str] = field(default_factory=list)
    clips: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self, body: Body) -> tuple[int, dict[str, str], Any]:
        prompt = text_of(body)
        samples, rate = soundfile.read(io.BytesIO(clip_of(body)), dtype="float32")
        content, emotion = _CONTENT.search(prompt), _EMOTION.search(prompt)
        assert emotion is not None
        transcript = "" if content is None else content[1]
        key = transcript or hashlib.sha256(samples.tobytes()).hexdigest()
        with self.lock:
            self.asked[key] += 1
            self.clips += len(samples) > 0
            self.prompts.append(prompt)
            times = self.asked[key] if REFUSED in prompt else 1
        if self.measured:
            text = scripted_rationale(transcript, samples, rate)
        else:
            text = (
                f'The words "{quoted_words(transcript)}" say little. The voice is high, rising and '
                "fast, with few pauses."
            )
        dice = random.Random(hashlib.sha256(f"{self.seed} {key}".encode()).digest())
        rule = dice.choice(self.rules) if self.rules and dice.random() < self.share else "none"
        if rule != "none" and times <= self.obeys_after:
            good = GoodRationale(_LABELS[emotion[1]], transcript, text)
            text = broken(good, rule, dice)
        else:
            rule = "none"
        with self.lock:
            self.broken[rule] += 1
        threading.Event().wait(self.wait_s)
        return 200, {}, _completion(body, prompt, text)


def _completion(body: Body, prompt: str, text: str) -> Body:
    read, written = len(prompt) // 4, len(text) // 4
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        },
    }


@contextlib.contextmanager
def rationale_server(**settings: Any) -> Iterator[RationaleServer]:
    """A running stand-in teacher."""
    state = RationaleServer(**settings)
    with chat_server(script=state.script) as server:
        state.base_url = server.base_url
        yield state
