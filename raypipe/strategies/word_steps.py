"""The generated steps that wrote an emotion word (variant ``words`` of token_level_logits, 5.3).

A small vocabulary spells emotion words with pieces such as ``er`` and ``ness`` that stand in many
other words, so a step does not count for its own token alone: it counts as part of a run of steps
that together wrote a surface form, where the text has that form as a whole word. A word whose
pieces are not recorded (as where a quotation mark and its first letters are one token) cannot be
located, and its steps are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from raypipe.labels import LabelSet
from raypipe.records import EmotionTokens


@dataclass(frozen=True, slots=True)
class _Run:
    """Steps that together wrote a form.

    Attributes:
        steps: first and one past the last.
        form: without outer blanks.
        blanks: before the form, in its first step.
        before: what the step before wrote, empty where its token is not recorded or in a run.
        after: what the step after wrote, empty where its token is not recorded.
    """

    steps: slice
    form: str
    blanks: str
    before: str
    after: str

    def place(self, text: str, begin: int) -> _Place | None:
        """First place of the form in the text from a position on; None if there is none.

        The form is looked for with as much of its surroundings as is known. Some tokenizers decode
        a token alone without its blank, so that the neighbours may not stand in the text as they
        are: then the form alone is looked for.
        """
        word = self.blanks + self.form
        for head, tail in (
            (self.before + word, self.after),
            (word, self.after),
            (self.before + word, ""),
            (self.form, ""),
        ):
            start = text.find(head + tail, begin)
            if start >= 0:
                return _Place(self, head + tail, len(head) - len(self.form), start)
        return None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a run may stand in the text.

    Attributes:
        literal: that stands there, the form with its surroundings.
        offset: of the form in it.
        start: of the literal in the text.
    """

    run: _Run
    literal: str
    offset: int
    start: int

    @property
    def end(self) -> int:
        """One past the form in the text."""
        return self.start + self.offset + len(self.run.form)

    def is_word(self, text: str) -> bool:
        """Whether no letter or digit touches the form in the text."""
        form = self.start + self.offset
        around = text[max(form - 1, 0) : form] + text[self.end : self.end + 1]
        return not any(character.isalnum() for character in around)


def word_steps(
    token_ids: Sequence[int], text: str, tokens: EmotionTokens, labels: LabelSet
) -> NDArray[np.bool_]:
    """Steps inside an occurrence of an emotion word in the generated text.

    Args:
        token_ids: of the steps that wrote text, shape ``(J,)``.
        text: that they wrote, perhaps without outer blanks.
        tokens: the recorded tokens and the words they write.
        labels: whose words count.

    Returns:
        Mask of shape ``(J,)``.

    Example:
        >>> from raypipe.records import EmotionWord
        >>> word = EmotionWord("sadness", "sadness", (20, 30))
        >>> tokens = EmotionTokens((word,), (20, 30), ("sad", "ness"))
        >>> labels = LabelSet(("anger", "sadness"))
        >>> word_steps((20, 30, 8, 9, 30), "sadness, kindness", tokens, labels)
        array([ True,  True, False, False, False])
    """
    runs = _located(_runs(token_ids, tokens, labels), text)
    mask = np.zeros(len(token_ids), dtype=np.bool_)
    for run in runs:
        mask[run.steps] = True
    return mask


def _runs(token_ids: Sequence[int], tokens: EmotionTokens, labels: LabelSet) -> list[_Run]:
    """Every run of recorded tokens that writes a form, from the left, the longest form first."""
    forms = {word.form.strip() for word in tokens.words if word.label in labels.names}
    strings = dict(zip(tokens.token_ids, tokens.token_strings, strict=True))
    pieces = [strings.get(token_id, "") for token_id in token_ids]
    runs: list[_Run] = []
    step = 0
    while step < len(pieces):
        end = _end_of_form(pieces, step, forms)
        if end is None:
            step += 1
            continue
        written = "".join(pieces[step:end])
        form = written.lstrip()
        blanks = written[: len(written) - len(form)]
        taken = runs[-1].steps.stop if runs else 0
        before = pieces[step - 1] if step > taken else ""
        after = pieces[end] if end < len(pieces) else ""
        runs.append(_Run(slice(step, end), form, blanks, before, after))
        step = end
    return runs


def _end_of_form(pieces: Sequence[str], start: int, forms: set[str]) -> int | None:
    """One past the last step of the longest form that the pieces from ``start`` on write."""
    if not pieces[start].strip():  # blanks before a word are none of its steps
        return None
    longest = max(map(len, forms), default=0)
    written, end = "", None
    for step in range(start, len(pieces)):
        written = (written + pieces[step]).lstrip()
        if not pieces[step] or len(written) > longest:
            break
        if written in forms:
            end = step + 1
    return end


def _located(runs: Sequence[_Run], text: str) -> list[_Run]:
    """Runs that can stand where the text has their form as a whole word.

    The runs stand in the text in their order. What the steps between them wrote is not known, so
    a run can be anywhere between the leftmost place that those before it leave and the rightmost
    that those after it do: mostly that is one place.
    """
    leftmost: list[_Place] = []
    for run in runs:
        place = run.place(text, leftmost[-1].end if leftmost else 0)
        if place is not None:
            leftmost.append(place)
    kept: list[_Run] = []
    limit = len(text)
    for first in reversed(leftmost):
        last = text.rfind(first.literal, first.start, limit + len(first.run.after))
        if any(place.is_word(text) for place in _places(first, last, text)):
            kept.append(first.run)
        limit = last + first.offset
    return kept[::-1]


def _places(first: _Place, last: int, text: str) -> Iterator[_Place]:
    """Places of a run from its first to one that starts at ``last``."""
    start = first.start
    while 0 <= start <= last:
        yield replace(first, start=start)
        start = text.find(first.literal, start + 1)
