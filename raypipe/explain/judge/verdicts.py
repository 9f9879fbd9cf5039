"""What a judge is asked, and its verdicts."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from raypipe.explain.judge.pairs import ReasonPair
from raypipe.prompts import render
from raypipe.prompts.options import option_text

Verdict = Literal["A", "B", "tie"]

Preferred = Literal["first", "second", "tie"]
"""A verdict in terms of the systems."""

_VERDICTS: dict[str, Verdict] = {"a": "A", "b": "B", "tie": "tie"}
_ANSWER = re.compile(
    r"""[\s*"'`(\[]*  (?: (?:verdict|answer) \s* : [\s*"'`(\[]* )?
        (?P<verdict> a | b | tie )
        [\s*"'`)\].!]*""",
    re.IGNORECASE | re.VERBOSE,
)


def judge_prompt(
    source: str, pair: ReasonPair, *, first_is_a: bool, transcript: str | None, audio: bool
) -> str:
    """The text of one question.

    Args:
        source: text of the template.
        pair: what is compared.
        first_is_a: which side the first system is on.
        transcript: what is said; None where that is not known.
        audio: whether the clip comes with the question.

    Raises:
        ConfigError: if the template cannot be filled.
    """
    reasons = (pair.first, pair.second) if first_is_a else (pair.second, pair.first)
    return render(
        source,
        emotion=option_text(pair.label).lower(),
        transcript=transcript,
        audio=audio,
        reason_a=reasons[0],
        reason_b=reasons[1],
    )


def prompt_hash(source: str, *, audio: bool) -> str:
    """SHA-256 of a question without reasons: of the template and what fills it but these."""
    empty = ReasonPair("", None, "", "", "", first_is_a=True)
    text = judge_prompt(source, empty, first_is_a=True, transcript=None, audio=audio)
    return hashlib.sha256(text.encode()).hexdigest()


def read_verdict(text: str) -> Verdict | None:
    r"""The verdict of an answer; None for one that cannot be read.

    The answer, or its last line, is ``A``, ``B`` or ``tie`` and nothing else, in upper or lower
    case, with ``Verdict:`` before it or marks around it. Other lines may say anything, so long as
    none of them is another verdict.

    Example:
        >>> read_verdict("**B**"), read_verdict("A has the tempo.\nVerdict: A")
        ('B', 'A')
        >>> read_verdict("A or B") is None
        True
    """
    lines = [line for line in text.splitlines() if line.strip()]
    matches = [_ANSWER.fullmatch(line) for line in lines]
    if not matches or matches[-1] is None:
        return None
    verdicts = {_VERDICTS[match["verdict"].lower()] for match in matches if match is not None}
    return verdicts.pop() if len(verdicts) == 1 else None


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """A pair and its two verdicts.

    Attributes:
        first_as_a: verdict with the first system as A; None for an answer that cannot be read.
        second_as_a: verdict with the second system as A.
    """

    speaker: str | None
    label: str
    utterance_id: str
    first_as_a: Verdict | None
    second_as_a: Verdict | None

    @property
    def preferences(self) -> tuple[Preferred | None, Preferred | None]:
        """Both verdicts in terms of the systems."""
        return preferred(self.first_as_a, True), preferred(self.second_as_a, False)

    @property
    def is_consistent(self) -> bool | None:
        """Whether both verdicts say the same of the systems; None where one cannot be read."""
        one, other = self.preferences
        return None if one is None or other is None else one == other

    @property
    def win(self) -> float | None:
        """What the pair counts for the first system.

        1 where both verdicts prefer its reason, 0 where both prefer the other, and a half for two
        ties and for verdicts that differ; None where a verdict cannot be read.
        """
        if self.is_consistent is None:
            return None
        scores: dict[Preferred | None, float] = {"first": 1.0, "second": 0.0}
        return scores.get(self.preferences[0], 0.5) if self.is_consistent else 0.5


def preferred(verdict: Verdict | None, first_is_a: bool) -> Preferred | None:
    """The system that a verdict prefers."""
    if verdict is None or verdict == "tie":
        return verdict
    return "first" if (verdict == "A") is first_is_a else "second"
