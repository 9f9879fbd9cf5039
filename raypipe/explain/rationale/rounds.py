"""Rationales asked for, checked, and asked for again until they keep the rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from raypipe.explain.rationale.draft import Draft, RuleSettings, tidied
from raypipe.explain.rationale.prompt import rationale_prompt
from raypipe.explain.rationale.rules import GUESSABLE, first_breach
from raypipe.records import Failure, Generation

AskTeacher = Callable[[Sequence[tuple[int, str]]], Sequence[Generation | Failure]]
"""What answers prompts about clips: one reply for each number of an utterance and its prompt."""

Guess = Callable[[Sequence[str]], Sequence[str | Failure | None]]
"""What guesses a label from each of some rationales; None for no label."""

REFUSED_ANSWER = "the model's answer was withheld"

_PARAPHRASE = (
    "DO NOT paraphrase the emotion: your reasoning gave it away. Describe the words and the voice "
    "only."
)


@dataclass(frozen=True, slots=True)
class RefusedDraft:
    """A draft that broke a rule.

    Attributes:
        rule: its name.
        breach: what broke it.
        text: the draft.
    """

    rule: str
    breach: str
    text: str


@dataclass(frozen=True, slots=True)
class Rationale:
    """What came of asking a teacher about one utterance.

    Attributes:
        text: that keeps the rules; None if none did.
        tries: requests about it.
        refusals: drafts that broke a rule, in order.
        failure: why the last request was not answered; None if it was.
    """

    label: str
    transcript: str | None
    text: str | None = None
    tries: int = 0
    refusals: tuple[RefusedDraft, ...] = ()
    failure: Failure | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is to be asked about."""
        return self.text is None and self.failure is None


def ask_teacher(
    rationales: Sequence[Rationale],
    ask: AskTeacher,
    source: str,
    rules: RuleSettings,
    most_tries: int,
    guess: Guess | None = None,
) -> list[Rationale]:
    """Rationales of a teacher, in order; the rules that drafts broke are named in the next request.

    A request that fails as a whole ends the asking about its utterance: engines try again
    themselves.

    Args:
        rationales: about which nothing was asked.
        ask: the teacher.
        source: text of the template.
        rules: how strict the rules are.
        most_tries: requests about one utterance.
        guess: what refuses rationales that give the label away; None to take those that keep the
            rules.

    Raises:
        ConfigError: if the template cannot be filled.
        StoppedError: if the teacher stops, say at the end of its budget.
    """
    asked = list(rationales)
    told: dict[int, list[str]] = {}
    for _ in range(most_tries):
        numbers = [number for number, rationale in enumerate(asked) if rationale.is_open]
        if not numbers:
            break
        prompts = [
            rationale_prompt(
                source,
                asked[number].label,
                asked[number].transcript,
                list(dict.fromkeys(told.get(number, ()))),
                asked[number].tries,
            )
            for number in numbers
        ]
        replies = ask(list(zip(numbers, prompts, strict=True)))
        for number, reply in zip(numbers, replies, strict=True):
            asked[number], why = _checked_reply(asked[number], reply, rules)
            if why:
                told.setdefault(number, []).append(why)
        if guess is not None:
            _refuse_guessable([n for n in numbers if asked[n].text is not None], asked, told, guess)
    return asked


def _checked_reply(
    rationale: Rationale, reply: Generation | Failure, rules: RuleSettings
) -> tuple[Rationale, str]:
    """An utterance after a reply, and what the teacher is to be told; empty for a good one."""
    tried = replace(rationale, tries=rationale.tries + 1)
    if isinstance(reply, Failure):
        return replace(tried, failure=reply), ""
    hypothesis = reply.hypotheses[0]
    text = tidied(hypothesis.text) if hypothesis.is_answer else ""
    draft = Draft(text, rationale.label, rationale.transcript, rules)
    broken = first_breach(draft)
    if broken is None and hypothesis.finish_reason == "length":
        refusal = RefusedDraft("too_long", "cut at the limit of tokens", text)
        told = f"Write at most {rules.most_words} words."
    elif broken is None:
        return replace(tried, text=text), ""
    else:
        rule, breach = broken
        refusal, told = RefusedDraft(rule.name, breach, text), rule.told(draft)
    if not hypothesis.is_answer:
        refusal = RefusedDraft("refusal", f"{REFUSED_ANSWER}: {hypothesis.finish_reason}", "")
    return replace(tried, refusals=(*rationale.refusals, refusal)), told


def _refuse_guessable(
    numbers: Sequence[int], asked: list[Rationale], told: dict[int, list[str]], guess: Guess
) -> None:
    """Open those again whose label is guessed from their text; a failed guess fails them."""
    texts = [asked[number].text or "" for number in numbers]
    for number, label in zip(numbers, guess(texts) if texts else (), strict=True):
        rationale = asked[number]
        if isinstance(label, Failure):
            asked[number] = replace(rationale, text=None, failure=label)
        elif label == rationale.label:
            refusal = RefusedDraft(GUESSABLE, f"guessed: {label}", rationale.text or "")
            asked[number] = replace(rationale, text=None, refusals=(*rationale.refusals, refusal))
            told.setdefault(number, []).append(_PARAPHRASE)
