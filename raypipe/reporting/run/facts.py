"""Facts about a run from ``run.json``, and warnings about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raypipe.reporting.errors import error_total
from raypipe.reporting.page import Fact
from raypipe.reporting.run.digest import Digest
from raypipe.reporting.run.scores import Scores
from raypipe.reporting.text import NOT_RECORDED, clean, count, duration, listing


@dataclass(frozen=True, slots=True)
class UtteranceBalance:
    """Numbers of utterances put in, predicted and failed, by ``run.json``.

    Attributes:
        put_in: utterances of the input; None if not recorded.
        predicted: utterances with a prediction; None if not recorded.
        failed: utterances that ended as an error, by the errors table if not recorded.
        listed: utterances in the errors table that the report was given.
        cells: number of models times prompts; every utterance counts once for each.
    """

    put_in: int | None
    predicted: int | None
    failed: int
    listed: int
    cells: int = 1

    @classmethod
    def of(cls, run: Mapping[str, Any], errors: pa.Table) -> UtteranceBalance:
        """The balance of a run."""
        stated = run.get("counts") or {}
        listed = error_total(errors)
        failed = stated.get("errors")
        return cls(
            put_in=stated.get("input"),
            predicted=stated.get("predicted"),
            failed=listed if failed is None else failed,
            listed=listed,
            cells=len(stated.get("cells") or (None,)),
        )

    @property
    def adds_up(self) -> bool | None:
        """Whether in = predicted + failed; None if that cannot be known."""
        if self.put_in is None or self.predicted is None:
            return None
        return self.put_in == self.predicted + self.failed


def facts(run: Mapping[str, Any], scores: Scores, digest: Digest) -> list[Fact]:
    """Terms and texts that say what was run, in the order in which a reader asks."""
    approaches = list(digest.tallies) or list(scores.strategies())
    models = sorted({approach.model for approach in approaches if approach.model})
    prompts = sorted({approach.prompt for approach in approaches if approach.prompt})
    corpora = [name for tally in digest.tallies.values() for name in tally.datasets]
    labels = run.get("labels")
    seconds = run.get("seconds")
    return [
        _fact("Model", _listed(models)),
        _fact("Prompt", _listed(prompts)),
        _fact("Corpus", _listed(list(dict.fromkeys(corpora)))),
        _fact("Labels", ", ".join(map(str, labels)) if isinstance(labels, list | tuple) else None),
        _fact("Seed", run.get("seed")),
        _fact("Started", _moment(run.get("started"))),
        _fact("Took", duration(seconds) if isinstance(seconds, int | float) else None),
        *times(run),
        *_origin(run),
        _fact("Run", run.get("run")),
        _fact("Fingerprint", run.get("fingerprint")),
    ]


def alerts(run: Mapping[str, Any], balance: UtteranceBalance, digest: Digest) -> list[str]:
    """Warnings about counts that do not add up, and about ablations."""
    warnings = []
    if balance.adds_up is False:
        warnings.append(
            f"The counts do not add up: {count(balance.put_in or 0)} utterances in, but "
            f"{count(balance.predicted or 0)} predicted and {count(balance.failed)} errors."
        )
    if balance.listed > balance.failed:
        warnings.append(
            f"run.json states {count(balance.failed)} errors, the errors table has "
            f"{count(balance.listed)}."
        )
    largest: dict[tuple[str, str], int] = {}
    for approach, tally in digest.tallies.items():
        cell = approach.model, approach.prompt
        largest[cell] = max(largest.get(cell, 0), tally.rows)
    rows = sum(largest.values()) if largest else None
    if rows is not None and balance.predicted is not None and rows != balance.predicted:
        warnings.append(
            f"Figures and tables made from single predictions rest on {count(rows)} of "
            f"{count(balance.predicted)} predicted utterances."
        )
    config = run.get("config")
    audio = config.get("audio") if isinstance(config, Mapping) else None
    if isinstance(audio, Mapping) and audio.get("replace_with"):
        warnings.append(
            f"Ablation: every clip was replaced with {clean(audio['replace_with'])}. "
            "The model heard nothing."
        )
    return warnings


def times(run: Mapping[str, Any]) -> list[Fact]:
    """Seconds and answers of each kind of question, as far as they are recorded."""
    stated = run.get("timings")
    rows = stated if isinstance(stated, list) else []
    several = len({row["model"] for row in rows}) > 1
    return [
        _fact(
            f"Time: {row['question']}" + (f" ({row['model']})" if several else ""),
            f"{row['seconds']:.1f} s for {count(row['asked'])} answers",
        )
        for row in rows
    ]


def versions(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Packages and their versions; empty if not recorded."""
    stated = run.get("versions")
    if not isinstance(stated, Mapping):
        return []
    return [(clean(name), clean(version)) for name, version in stated.items()]


def config_text(run: Mapping[str, Any]) -> str | None:
    """The resolved config as indented JSON; None if not recorded."""
    if run.get("config") is None:
        return None
    lines = json.dumps(run["config"], indent=2, ensure_ascii=False, default=str).splitlines()
    # Line by line: clean() makes one line of what it gets, and the indent carries meaning.
    return "\n".join(" " * (len(line) - len(line.lstrip())) + clean(line, 400) for line in lines)


def _origin(run: Mapping[str, Any]) -> list[Fact]:
    """The run that the hypotheses come from, if it is another."""
    made_from = run.get("made_from")
    if not isinstance(made_from, Mapping):
        return []
    return [_fact("Hypotheses of", f"{made_from.get('location')} ({made_from.get('run')})")]


def _listed(names: list[str]) -> str | None:
    return listing(names) if names else None


def _fact(term: str, value: object) -> Fact:
    return Fact(term, NOT_RECORDED, missing=True) if value is None else Fact(term, clean(value))


def _moment(value: object) -> str | None:
    """An ISO time cut to minutes; anything else as it is."""
    if value is None:
        return None
    text = clean(value, 40)
    if len(text) < 16 or text[10] not in "T ":
        return text
    zone = " UTC" if text.endswith(("Z", "+00:00")) else ""
    return f"{text[:10]} {text[11:16]}{zone}"
