"""Rules that every rationale keeps, one object each (explainable_speechlm, section 2.1)."""

# ruff: noqa: RUF001  signs of every kind
from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from raypipe.explain.rationale.disguises import disguised
from raypipe.explain.rationale.draft import Draft, words_of
from raypipe.explain.rationale.label_words import label_words
from raypipe.explain.rationale.voice_words import cites_voice, cites_words
from raypipe.prompts.options import option_text


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of rationales.

    Attributes:
        name: in the tables.
        breach: what in a draft breaks it, in a few words; None if it is kept.
        told: the rule as a teacher is told it that broke it.
        summary: what it refuses, for a reader of the report.
    """

    name: str
    breach: Callable[[Draft], str | None]
    told: Callable[[Draft], str]
    summary: str


GUESSABLE: Final = "guessable"
"""Name of the rule that needs a model: it guesses the label from the rationale alone."""


def first_breach(draft: Draft) -> tuple[Rule, str] | None:
    """The first rule that a draft breaks, and what breaks it; None for a good one."""
    for rule in RULES:
        what = rule.breach(draft)
        if what is not None:
            return rule, what
    return None


def _empty(draft: Draft) -> str | None:
    return None if words_of(draft.text) else "no words"


_REFUSAL: Final = re.compile(
    r"\b(?:i(?:'m| am) (?:sorry|unable|not able)"
    r"|i (?:can(?:'t|not)|could not|couldn't|do not|don't) (?:actually |really |directly )?"
    r"(?:hear|listen|access|process|play|open|provide|determine|analy[sz]e"
    r"|help|assist|comply|fulfil)"
    r"|(?:no|without (?:the|an|any)) (?:audio|recording|sound|clip) (?:was|is|file|clip)"
    r"|(?:audio|recording|clip|file) (?:was|is) not (?:provided|available|attached)"
    r"|(?:provide|upload|share) the (?:audio|recording|clip)"
    r"|unable to (?:hear|listen|access|process|provide|analy[sz]e)|i apologi[sz]e)\b",
    re.IGNORECASE,
)


def _refusal(draft: Draft) -> str | None:
    match = _REFUSAL.search(draft.own_words.replace("’", "'"))
    return match and match[0]


_SPECIAL: Final = re.compile(
    r"</?\s*(?:asr|answer|reason|think|audio|image|video)\b[^>]*>|<\|[^|<>]*\|>"
    r"|</?(?:s|eos|bos|pad|unk|(?:start|end)_of_turn)>|\[/?INST\]|<</?SYS>>",
    re.IGNORECASE,
)


def _special_token(draft: Draft) -> str | None:
    match = _SPECIAL.search(draft.text)
    return match and match[0]


def _names_label(draft: Draft) -> str | None:
    allowed = draft.settings.quoted_label == "allowed"
    text = draft.own_words if allowed else draft.text
    return disguised(text, label_words(draft.label, synonyms=draft.settings.synonyms))


_TASK: Final = re.compile(
    r"\b(?:(?:given|provided|specified|target|gold|reference|assigned|intended) (?:emotion|label)s?"
    r"|(?:emotion|label|category) (?:that |which )?(?:you|i was) (?:gave|given|named|told|provided)"
    r"|(?:annotated|labell?ed|given) (?:category|emotion|label|class)"
    r"|(?:emotion|gold|the) labels?|ground[- ]truth|as (?:instructed|requested|per the)"
    r"|(?:the|these|your|my) (?:prompt|instructions?|guidelines)|avoid(?:ing)? the word"
    r"|without using the word)\b",
    re.IGNORECASE,
)


def _speaks_of_the_task(draft: Draft) -> str | None:
    match = _TASK.search(draft.own_words)
    return match and match[0]


_INVITATION: Final = re.compile(
    r"\b(?:what (?:do|did|would|about) you\b|what are your"
    r"|do you (?:agree|think|feel|want|hear|have)"
    r"|would you (?:like|say|agree)|don't you think|wouldn't you|can you (?:hear|imagine)"
    r"|let me know|feel free|just ask|do reply|tell me if|questions are welcome|any questions"
    r"|please (?:write|reply|respond|let|tell|ask|share)|does (?:that|this|it) make sense"
    r"|(?:if|should) you (?:want|have|'d like|would like|need|wish)"
    r"|(?:share|tell (?:me|us)) (?:your|more|what)|i(?:'d| would) (?:love|be (?:happy|glad)) to"
    r"|i(?:'m| am) here to|(?:hope|hoping) (?:this|that"
    r"|it) helps|(?:happy|glad) to (?:help|discuss|talk|elaborate)|your (?:opinion|thoughts|view"
    r"|impression)s?)",
    re.IGNORECASE,
)
_QUESTION: Final = re.compile(r"[?？؟⁇⁈]")
_QUOTED: Final = re.compile(r"\"[^\"]*\"|“[^”]*”|«[^»]*»|(?<!\w)[‘'][^’']*[’'](?!\w)")
_WORDS_BEFORE: Final = 3


def _question_to_reader(draft: Draft) -> str | None:
    own = draft.own_words.replace("’", "'")
    invitation = _INVITATION.search(own)
    if invitation:
        return invitation[0]
    outside = _QUOTED.sub(" ", own)
    spoken = words_of(draft.transcript or "")
    for mark in _QUESTION.finditer(outside):
        last = words_of(re.split(r"[.!?;:]", outside[: mark.start()])[-1])[-_WORDS_BEFORE:]
        if not last or not _in_order(last, spoken):
            return " ".join([*last, "?"])
    return None


def _in_order(words: list[str], spoken: list[str]) -> bool:
    size = len(words)
    return any(spoken[at : at + size] == words for at in range(len(spoken) - size + 1))


_OPENING: Final = re.compile(
    r"^\W*(?:(?:sure|certainly|absolutely|definitely|of course|okay|ok|alright|all right|great"
    r"|good|yes|yeah|no problem|hmm+|um+|uh+|oh|ah|so|right|now|hello|hi"
    r"|thanks?(?: you)?)\s*[,.!…:—–-]"
    r"|(?:basically|honestly|anyway|look|listen|right then|sure thing|ooh+|aha)\s*[,.!…:—–-]"
    r"|(?:okay|ok|alright|right) so\b|my (?:reasoning|analysis|explanation) (?:is|goes|follows)\b"
    r"|(?:great|good) (?:question|point)|you know\b|i mean\b|let me\b|let's\b|let us\b"
    r"|here(?:'s| is| are)\b|(?:the )?(?:following|below) is|to answer\b|thank you\b"
    r"|i(?:'ll| will|'d)\b)",
    re.IGNORECASE,
)
_WELL: Final = re.compile(
    r"(?:^\W*|[.!?…:;]\s+|\W[—–]\s*)well"
    r"(?=\s*[,.!…:;—–]|\s+-|\s+(?:you know|i|it|it's|the|this|that|so|he|she|they|we"
    r"|here|there|when|if)\b)"
    r"|\bwell,?\s+you\s+know\b|,\s*(?:well|you know)\s*,|\byou know,",
    re.IGNORECASE,
)
_MACHINE: Final = re.compile(
    r"\bas an? (?:\w+ )?(?:ai|a\.i\.|language model|assistant|machine|llm)\b", re.IGNORECASE
)


def _filler_opening(draft: Draft) -> str | None:
    own = draft.own_words.replace("’", "'")
    for pattern in (_WELL, _OPENING, _MACHINE):
        match = pattern.search(own)
        if match:
            return match[0].strip(" \t.,!?:;-—–…")
    return None


def _too_short(draft: Draft) -> str | None:
    count = len(words_of(draft.text))
    return f"{count} words" if count < draft.settings.fewest_words else None


def _too_long(draft: Draft) -> str | None:
    count = len(words_of(draft.text))
    return f"{count} words" if count > draft.settings.most_words else None


def _cites_no_words(draft: Draft) -> str | None:
    spoken = words_of(draft.transcript or "")
    cited = cites_words(words_of(draft.text), draft.text, spoken)
    return None if cited else "nothing of what is said"


def _cites_no_voice(draft: Draft) -> str | None:
    return None if cites_voice(draft.own_words) else "nothing of the voice"


def _told(text: str) -> Callable[[Draft], str]:
    return lambda draft: text


RULES: Final = (
    Rule("empty", _empty, _told("Write a reasoning in plain sentences."), "no words at all"),
    Rule(
        "refusal",
        _refusal,
        _told("The audio is there: listen to it, and describe it."),
        "the teacher does not answer",
    ),
    Rule(
        "special_token",
        _special_token,
        _told("Write plain sentences without any tags."),
        "tags of the target string, or a model's special tokens",
    ),
    Rule(
        "names_label",
        _names_label,
        lambda draft: (
            f"DO NOT use the word {option_text(draft.label)}, a form of it, a synonym or another "
            f"spelling (you wrote: {_names_label(draft)}), not even in a quotation."
        ),
        "the label, a form of it or a synonym, however it is written",
    ),
    Rule(
        "speaks_of_the_task",
        _speaks_of_the_task,
        _told("DO NOT mention that the emotion was given to you, nor these instructions."),
        "that the label was given, or the instructions",
    ),
    Rule(
        "question_to_reader",
        _question_to_reader,
        _told("DO NOT ask the reader anything, and DO NOT invite a reply."),
        "a question or an invitation to the reader",
    ),
    Rule(
        "filler_opening",
        _filler_opening,
        _told(
            'DO NOT begin with a filler such as "Well", "Sure" or "Here is", and DO NOT speak of '
            "yourself: begin with the words or the voice."
        ),
        "Well, Sure, Here is, As an AI",
    ),
    Rule(
        "too_short",
        _too_short,
        lambda draft: f"Write at least {draft.settings.fewest_words} words.",
        "fewer words than the limit",
    ),
    Rule(
        "too_long",
        _too_long,
        lambda draft: f"Write at most {draft.settings.most_words} words.",
        "more words than the limit",
    ),
    Rule(
        "cites_no_words",
        _cites_no_words,
        _told("Say something about the words that are spoken: quote some of them."),
        "nothing about what is said",
    ),
    Rule(
        "cites_no_voice",
        _cites_no_voice,
        _told("Say something about the voice: its pitch, tone, loudness, tempo or pauses."),
        "nothing about how it sounds",
    ),
)
"""In the order in which they are looked at; the first that is broken is counted."""

SUMMARIES: Final[Mapping[str, str]] = {
    **{rule.name: rule.summary for rule in RULES},
    GUESSABLE: "a text model guesses the label from the rationale alone",
}
"""What each rule refuses, by its name."""
