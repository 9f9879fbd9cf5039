"""Where in a text the answer stands: after thinking, inside a tag, after a marker."""

from __future__ import annotations

import re
from dataclasses import dataclass

_THINKING = "think|thinking|thought|thoughts|reasoning|analysis|scratchpad|reflection|reason|cot"
_THINKING_TAG = re.compile(
    rf"(?P<close></(?:{_THINKING}|seed:think)\s*>|\[/(?:{_THINKING})\]|\u25c1/think\u25b7"
    r"|<\|end_of_(?:thought|thinking)\|>|<\|/think(?:ing)?\|>"
    r"|<\|channel\|>\s*final\s*(?:<\|constrain\|>\s*\w+\s*)?(?:<\|message\|>)?)"
    rf"|(?P<open><(?:{_THINKING}|seed:think)\s*>|\[(?:{_THINKING})\]|\u25c1think\u25b7"
    r"|<\|begin_of_(?:thought|thinking)\|>|<\|think(?:ing)?\|>"
    r"|<\|channel\|>\s*(?:analysis|commentary)\b)",
    re.IGNORECASE,
)
_ANSWER_TAG = re.compile(
    r"<(?P<name>answer|final_answer|final|result|output|response|solution)\s*>", re.IGNORECASE
)
_SOLUTION = re.compile(r"<\|begin_of_(?:solution|answer)\|>", re.IGNORECASE)
_MARKER = re.compile(
    r"(?<![\w\"'])(?:"
    r"(?:my\s+|the\s+)?final(?:\s+(?:answer|result|verdict|prediction|judge?ment|decision|emotion"
    r"|label|classification|distribution|probabilit(?:y|ies)|estimates?|output|choice|response"
    r"|scores?|rating|conclusion|assessment)){1,2}"
    r"[\"'*_`\s)]{0,6}(?:is\b|are\b|[:=>\n])|final[\"'*_`]{0,4}\s?[:=]"
    r"|(?<!this\s)(?<!in\s)(?<!in\sthe\s)(?<!of\sthe\s)(?<!in\smy\s)(?<!of\smy\s)"
    r"(?:my\s+|the\s+|correct\s+)?answers?[\"'*_`]{0,4}\s?(?:is\b|[:=])"
    r")(?:\s*[:>])?",
    re.IGNORECASE,
)

_TURN_END = re.compile(
    r"<\|(?:endoftext|end_of_text|im_end|eot_id)\|>|</s>|<(?:end_of_turn|eos)>", re.IGNORECASE
)
_NEXT_TURN = re.compile(
    r"\n[ \t]{0,8}(?:user|human)\s?:[^\n]{0,2000}\n\s{0,20}(?:assistant|model)\s?:", re.IGNORECASE
)
_NEXT_EXAMPLE = re.compile(
    r"\n[ \t]{0,8}(?:example\s\d+|(?:next\s)?question\s?\d*)\s?[:\n]", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class AnswerSection:
    """The part of a text that is the answer.

    Attributes:
        start: of the answer in the text.
        end: of the answer in the text.
        thinking: spans of the text that are the model's thinking.
        marker: span of the marker or tag that announces the answer; None without one.
        missing: why there is no answer, as a reason; None if there is one.
    """

    start: int
    end: int
    thinking: tuple[tuple[int, int], ...] = ()
    marker: tuple[int, int] | None = None
    missing: str | None = None


def find_answer(text: str) -> AnswerSection:
    """The answer in a text of plain characters.

    Thinking ends with its last closing tag; one that is never closed leaves no answer. Inside what
    is left the last answer tag counts, then the last marker such as ``Final answer:``.

    Example:
        >>> text = "<think>sad?</think>Final answer: angry"
        >>> section = find_answer(text)
        >>> text[section.start : section.end]
        ' angry'
    """
    outside, thinking, is_open = _outside_thinking(text)
    if outside is None:
        reason = "unfinished_thinking" if is_open else "no_answer"
        return AnswerSection(len(text), len(text), thinking, missing=reason if thinking else None)
    start, end = outside
    end = _end_of_turn(text, start, end)
    marker = None
    for pattern in (_SOLUTION, _ANSWER_TAG):
        tags = list(pattern.finditer(text, start, end))
        if tags:
            tag = tags[-1]
            marker, start = tag.span(), tag.end()
            closing = f"</{tag['name']}" if "name" in tag.groupdict() else "<|end_of_"
            closed = text.lower().find(closing.lower(), start, end)
            end = closed if closed >= 0 else end
    found = _last_marker(text, start, end)
    if found is not None:
        marker, start = found, found[1]
        if not re.search(r"\w", text[start:end]):
            return AnswerSection(start, end, thinking, marker, "truncated")
    return AnswerSection(start, end, thinking, marker)


def _end_of_turn(text: str, start: int, end: int) -> int:
    """Where the model's answer ends and a next turn begins that it made up."""
    for pattern in (_TURN_END, _NEXT_TURN):
        turn = pattern.search(text, start, end)
        written = "" if turn is None else text[start : turn.start()]
        if turn is not None and re.search(r"\w", written) and "<|im_start|>" not in written:
            end = turn.start()
    turn = _NEXT_EXAMPLE.search(text, start, end)
    written = "" if turn is None else text[start : turn.start()]
    last_line = written.rstrip().rpartition("\n")[2]
    is_short = 0 < len(last_line.split()) <= 3 and last_line[-1] not in ".!?:"
    if turn is not None and ("}" in written or is_short):
        end = turn.start()
    return end


def _outside_thinking(
    text: str,
) -> tuple[tuple[int, int] | None, tuple[tuple[int, int], ...], bool]:
    """The last part outside thinking that is not blank, the thinking, whether it is unclosed."""
    outside: list[tuple[int, int]] = []
    thinking: list[tuple[int, int]] = []
    position, opened = 0, -1
    for tag in _THINKING_TAG.finditer(text):
        if tag["close"]:
            if opened < 0:  # closes what began before the text did
                outside, thinking = [], [(0, tag.start())]
            else:
                thinking.append((opened, tag.start()))
            position, opened = tag.end(), -1
        elif opened < 0:
            outside.append((position, tag.start()))
            opened = tag.end()
    if opened < 0:
        outside.append((position, len(text)))
    else:
        thinking.append((opened, len(text)))
    written = [span for span in outside if text[span[0] : span[1]].strip()]
    # What is said before thinking that never ends is no answer yet.
    is_open = opened >= 0
    return (written[-1] if written and not is_open else None), tuple(thinking), is_open


def _last_marker(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Span of the last marker outside braces and quotes: a field of an object is none."""
    last = None
    depth, position = 0, start
    for match in _MARKER.finditer(text, start, end):
        depth += text.count("{", position, match.start()) - text.count("}", position, match.start())
        position = match.start()
        if depth <= 0:
            last = match.span()
    return last
