"""The prompt of a request: items, weights, and an example that obeys them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from raypipe.labels import LabelSet
from raypipe.prompts import render
from raypipe.relabel.item import Described
from raypipe.relabel.settings import RelabelSettings

_DECIMALS = 4


def relabel_prompt(
    source: str,
    items: Mapping[int, Described],
    labels: LabelSet,
    settings: RelabelSettings,
    *,
    attempt: int = 1,
    faults: Mapping[int, str] | None = None,
) -> str:
    """The text of one request.

    An item is one line of JSON with its index, its descriptions and its reference.

    Args:
        source: text of the template.
        items: by the index that they are called by in this request.
        labels: the label set.
        settings: of the job.
        attempt: 1 for items that were never asked before.
        faults: why earlier answers could not be used, by index.

    Raises:
        ConfigError: if the template cannot be filled.
    """
    weight = settings.description_weight
    example, answer = _example(labels, settings)
    return render(
        source,
        labels=list(labels.names),
        show_reference=settings.reference,
        ask_reasons=settings.reasons,
        description_percent=f"{100 * weight:g}",
        reference_percent=f"{100 * (1 - weight):g}",
        example_item=example,
        example_answer=answer,
        attempt=attempt,
        faults=[f"item {index}: {fault}" for index, fault in (faults or {}).items()],
        items=[
            _item_line(index, item.words, item.reference, labels, settings)
            for index, item in items.items()
        ],
    )


def prompt_hash(source: str, labels: LabelSet, settings: RelabelSettings) -> str:
    """SHA-256 of a request without items: of the template and all that fills it but these."""
    return hashlib.sha256(relabel_prompt(source, {}, labels, settings).encode()).hexdigest()


def _item_line(
    index: int,
    words: Sequence[str],
    reference: Sequence[float],
    labels: LabelSet,
    settings: RelabelSettings,
) -> str:
    item: dict[str, object] = {"index": index, "descriptions": list(words)}
    if settings.reference:
        item["reference"] = _shares(reference, labels)
    return json.dumps(item, ensure_ascii=False)


def _example(labels: LabelSet, settings: RelabelSettings) -> tuple[str, str]:
    """An item and its answer, which is exactly what the weights make of it.

    Two descriptions stand for half of the first emotion each and half of the second, the
    reference for four fifths of the second and a fifth of the last.
    """
    first, second = labels.names[0], labels.names[1]
    words = [f"clearly {_adjective(labels, first)}", f"{_adjective(labels, second)} too"]
    meaning, reference = [0.0] * len(labels), [0.0] * len(labels)
    meaning[0] = meaning[1] = 0.5
    reference[1] += 0.8
    reference[-1] += 0.2
    weight = settings.description_weight if settings.reference else 1.0
    mixed = [weight * m + (1 - weight) * r for m, r in zip(meaning, reference, strict=True)]
    answer: dict[str, object] = {
        "index": 1,
        "words": words,
        "distribution": _shares(mixed, labels),
    }
    if settings.reasons:
        shared = (
            "each gets half the descriptions' weight, the reference the rest"
            if settings.reference
            else "each gets half of the whole, as both are clear"
        )
        answer["reason"] = f"'{words[0]}' raises {first} and '{words[1]}' keeps {second}; {shared}."
    return _item_line(1, words, reference, labels, settings), json.dumps(answer)


def _adjective(labels: LabelSet, label: str) -> str:
    words = labels.words(label)
    return words[1] if len(words) > 1 and label != "neutral" else label


def _shares(distribution: Sequence[float], labels: LabelSet) -> dict[str, float]:
    return {
        name: round(share, _DECIMALS)
        for name, share in zip(labels.names, distribution, strict=True)
    }
