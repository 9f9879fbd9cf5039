"""Facts about a run from ``run.json``, and warnings about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from raypipe.reporting.page import Fact
from raypipe.reporting.run.digest import Digest
from raypipe.reporting.run.scores import Scores
from raypipe.reporting.text import NOT_RECORDED, clean, count, duration, listing
from raypipe.store.run_record import RunRecord


@dataclass(frozen=True, slots=True)
class UtteranceBalance:
    """Numbers of utterances put in, predicted and failed, by ``run.json``.

    Attributes:
        put_in: utterances of the input; None if not recorded.
        predicted: utterances with a prediction; None if not recorded.
        failed: utterances that ended as an error, by the errors table if not recorded.
        listed: utterances in the errors table.
        cells: number of models times prompts; every utterance counts once for each.
    """

    put_in: int | None
    predicted: int | None
    failed: int
    listed: int
    cells: int = 1

    @classmethod
    def of(cls, run: RunRecord, listed: int) -> UtteranceBalance:
        """The balance of a run, given the number of utterances in its errors table."""
        counts = run.counts
        if counts is None:
            return cls(put_in=None, predicted=None, failed=listed, listed=listed)
        return cls(
            put_in=counts.input,
            predicted=counts.predicted,
            failed=counts.errors,
            listed=listed,
            cells=len(counts.cells) or 1,
        )

    @property
    def adds_up(self) -> bool | None:
        """Whether in = predicted + failed; None if that cannot be known."""
        if self.put_in is None or self.predicted is None:
            return None
        return self.put_in == self.predicted + self.failed


def facts(run: RunRecord, scores: Scores, digest: Digest) -> list[Fact]:
    """Terms and texts that say what was run, in the order in which a reader asks."""
    approaches = list(digest.tallies) or list(scores.strategies())
    models = sorted({approach.model for approach in approaches if approach.model})
    prompts = sorted({approach.prompt for approach in approaches if approach.prompt})
    corpora = [name for tally in digest.tallies.values() for name in tally.datasets]
    return [
        _fact("Model", _listed(models)),
        _fact("Prompt", _listed(prompts)),
        _fact("Corpus", _listed(list(dict.fromkeys(corpora)))),
        _fact("Labels", ", ".join(run.labels)),
        _fact("Seed", run.seed),
        _fact("Started", _moment(run.started)),
        _fact("Took", None if run.seconds is None else duration(run.seconds)),
        *times(run),
        *_origin(run),
        _fact("Run", run.run),
        _fact("Fingerprint", run.fingerprint),
    ]


def alerts(run: RunRecord, balance: UtteranceBalance, digest: Digest) -> list[str]:
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
    warnings += [
        f"Measured against label table {clean(table.name)} in the place of the corpus's own "
        f"labels: {count(table.matched)} utterances are in it, others keep theirs."
        for table in run.label_tables or ()
        if table.place == "instead"
    ]
    audio = run.config.get("audio")
    if isinstance(audio, Mapping) and audio.get("replace_with"):
        warnings.append(
            f"Ablation: every clip was replaced with {clean(audio['replace_with'])}. "
            "The model heard nothing."
        )
    return warnings


def times(run: RunRecord) -> list[Fact]:
    """Seconds and answers of each kind of question, as far as they are recorded."""
    several = len({time.model for time in run.timings}) > 1
    return [
        _fact(
            f"Time: {time.question}" + (f" ({time.model})" if several else ""),
            f"{time.seconds:.1f} s for {count(time.asked)} answers",
        )
        for time in run.timings
    ]


def versions(run: RunRecord) -> list[tuple[str, str]]:
    """Packages and their versions; empty if not recorded."""
    return [(clean(name), clean(version)) for name, version in run.versions.items()]


def config_text(run: RunRecord) -> str:
    """The resolved config of a run as indented JSON."""
    return settings_text(run.config)


def settings_text(config: Mapping[str, object]) -> str:
    """Settings as indented JSON."""
    lines = json.dumps(config, indent=2, ensure_ascii=False, default=str).splitlines()
    # Line by line: clean() makes one line of what it gets, and the indent carries meaning.
    return "\n".join(" " * (len(line) - len(line.lstrip())) + clean(line, 400) for line in lines)


def _origin(run: RunRecord) -> list[Fact]:
    """The run that the hypotheses come from, if it is another."""
    if run.made_from is None:
        return []
    return [_fact("Hypotheses of", f"{run.made_from.location} ({run.made_from.run})")]


def _listed(names: list[str]) -> str | None:
    return listing(names) if names else None


def _fact(term: str, value: object) -> Fact:
    return Fact(term, NOT_RECORDED, missing=True) if value is None else Fact(term, clean(value))


def _moment(time: str) -> str:
    """An ISO time cut to minutes; anything else as it is."""
    text = clean(time, 40)
    if len(text) < 16 or text[10] not in "T ":
        return text
    zone = " UTC" if text.endswith(("Z", "+00:00")) else ""
    return f"{text[:10]} {text[11:16]}{zone}"
