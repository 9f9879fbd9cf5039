"""Stand-in for a language model that relabels: it knows the words of the lexicon, nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from raypipe.tiny_alm.lexicon import meaning

Array = NDArray[np.float64]

DESCRIPTION_WEIGHT = 0.25
"""Weight of what was typed; the reference has the rest."""

_ITEM = '{"index": '
# Whatever the number of words before it, one of these endings makes 15 to 20 of them.
_ENDINGS = (
    "in this clip, while the votes of all the listeners keep most of the weight",
    "here, while the listeners' votes keep most of the weight",
    "while the votes weigh more",
)
_MOST_WORDS = 20


@dataclass(frozen=True, slots=True)
class LexiconItem:
    """One utterance of a relabel request.

    Attributes:
        index: by which the answer names it.
        descriptions: what the annotators typed.
        labels: names of the emotions, in order.
        reference: shares of the votes, shape ``(labels,)``; None if the request has none.
    """

    index: int
    descriptions: tuple[str, ...]
    labels: tuple[str, ...]
    reference: tuple[float, ...] | None


class LexiconAnswer(TypedDict):
    """What is answered to an item; the reason only if it is asked for."""

    index: int
    words: list[str]
    distribution: dict[str, float]
    reason: NotRequired[str]


def items_of(prompt: str) -> Iterator[LexiconItem]:
    """The items of a relabel prompt: its unindented lines that are JSON objects."""
    stated = re.search(r"^Emotions.*?: (.*)\.$", prompt, re.MULTILINE)
    labels = tuple(stated[1].split(", ")) if stated else ()
    for line in prompt.splitlines():
        if line.startswith(_ITEM) and '"descriptions"' in line:
            item = json.loads(line)
            shares: Mapping[str, float] | None = item.get("reference")
            yield LexiconItem(
                index=item["index"],
                descriptions=tuple(item["descriptions"]),
                labels=labels if shares is None else tuple(shares),
                reference=None if shares is None else tuple(shares.values()),
            )


def answer(prompt: str) -> str:
    """The answer to a relabel prompt: a JSON list with an object for each item.

    Reasons are given if the prompt has the word.
    """
    reasons = "reason" in prompt
    return json.dumps(
        [item_answer(item, reasons=reasons) for item in items_of(prompt)], ensure_ascii=False
    )


def item_answer(item: LexiconItem, *, reasons: bool = True) -> LexiconAnswer:
    """The JSON object for one item, its shares with four decimals."""
    adjusted = relabelled(item.reference, item.descriptions, item.labels)
    shares = {
        name: round(float(share), 4) for name, share in zip(item.labels, adjusted, strict=True)
    }
    reply = LexiconAnswer(index=item.index, words=[*item.descriptions], distribution=shares)
    if reasons:
        reply["reason"] = _reason(item, adjusted)
    return reply


def relabelled(
    reference: Sequence[float] | None,
    descriptions: Sequence[str],
    labels: Sequence[str],
    weight: float = DESCRIPTION_WEIGHT,
) -> Array:
    """Reference and mean meaning of the descriptions, weighed.

    Args:
        reference: shares of the votes, shape ``(labels,)``; None for the meaning alone.
        descriptions: of the annotators; what means nothing does not count.
        labels: names of the emotions.
        weight: of the descriptions, in [0, 1].

    Returns:
        Shape ``(labels,)``, summing to 1: the reference if no description means anything, or equal
        shares without a reference.

    Example:
        >>> relabelled((0.0, 1.0), ("very angry", "hmm"), ("anger", "neutral"))
        array([0.25, 0.75])
    """
    meanings = [meaning(text, labels) for text in descriptions]
    known = [mix for mix in meanings if mix is not None]
    if not known:
        return np.full(len(labels), 1.0 / len(labels)) if reference is None else np.array(reference)
    typed = np.mean(known, axis=0)
    if reference is None:
        return np.asarray(typed)
    return np.asarray((1.0 - weight) * np.array(reference) + weight * typed)


def _reason(item: LexiconItem, adjusted: Array) -> str:
    """A sentence that quotes every description, of 15 to 20 words unless they need more."""
    before = np.array(item.reference or np.full(len(item.labels), 1.0 / len(item.labels)))
    change = adjusted - before
    raised = item.labels[int(change.argmax())]
    effect = f"raises {raised}" if change.max() > 1e-9 else "moves nothing"
    quoted = ", ".join(f"'{text}'" for text in item.descriptions)
    begun = f"{quoted} {effect}"
    for ending in _ENDINGS:
        if len(f"{begun} {ending}".split()) <= _MOST_WORDS:
            return f"{begun} {ending}."
    return f"{begun}."
