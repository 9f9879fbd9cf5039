"""Counts of recordings whose signal is no speech, from the marks that an ingest left."""

from __future__ import annotations

from collections.abc import Iterator

from raypipe.records import AudioMarks
from raypipe.reporting.corpus.findings import Findings, Signals
from raypipe.reporting.text import count

_FAR_BEYOND = 10.0  # times full scale, as raypipe.audio.marks has it
_CLIPPED = 0.01
_OPPOSITE = -0.99


class SignalTally:
    """Counts over the utterances of a corpus."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(Signals.model_fields, 0)

    def add(self, marks: AudioMarks | None) -> None:
        """Count an utterance, with marks or without."""
        if marks is None:
            return
        opposite = marks.channel_correlation is not None and marks.channel_correlation < _OPPOSITE
        for name, applies in (
            ("measured", True),
            ("silent", bool(marks.silent)),
            ("antiphase", bool(marks.silent) and opposite),
            ("out_of_range", (marks.peak or 0.0) > _FAR_BEYOND),
            ("clipped", (marks.clipped_share or 0.0) > _CLIPPED),
            ("mended", marks.note is not None),
        ):
            self._counts[name] += applies

    def findings(self) -> Signals:
        """The counts."""
        return Signals(**self._counts)


def signal_alerts(findings: Findings) -> Iterator[str]:
    """Warnings about recordings that a model cannot judge."""
    signals, of_all = findings.signals, f"of {count(findings.utterances)} utterances"
    if signals.silent:
        number = count(signals.silent)
        channels = (
            f", {count(signals.antiphase)} because their channels cancel each other out"
            if signals.antiphase
            else ""
        )
        yield f"{number} {of_all} are silent{channels}; a run refuses them (audio.silent)."
    if signals.out_of_range:
        yield (
            f"{count(signals.out_of_range)} {of_all} reach more than 10 times full scale; a run "
            "refuses them (audio.out_of_range)."
        )
    if signals.clipped:
        yield f"{count(signals.clipped)} {of_all} are clipped in more than 1 % of their samples."
    if signals.mended:
        yield f"{count(signals.mended)} {of_all} had a header with a wrong size."
