"""Results for the inputs of a shard, as kept in the shard's footer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from raypipe.records import Failure
from raypipe.shards import RowFailure

OUTCOME_KEY = "raypipe.ingest"


@dataclass(slots=True)
class ShardOutcome:
    """Numbers, failures and exclusions of the inputs of a shard.

    Attributes:
        inputs: number of utterances, failures and exclusions.
        duration_s: seconds of audio in the utterances.
        votes: inside the label set, of the utterances.
        datasets: names in the utterances, sorted.
        kept_original: recordings that could not become FLAC, by format.
        failures: in the corpus's order.
        excluded: clips that the policy leaves out, in the corpus's order.
    """

    inputs: int = 0
    duration_s: float = 0.0
    votes: int = 0
    datasets: list[str] = field(default_factory=list)
    kept_original: dict[str, int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    excluded: list[Failure] = field(default_factory=list)

    def as_json(self) -> str:
        """JSON for a shard's footer."""
        return json.dumps(
            {
                "inputs": self.inputs,
                "duration_s": self.duration_s,
                "votes": self.votes,
                "datasets": self.datasets,
                "kept_original": dict(sorted(self.kept_original.items())),
                "failures": [_failure_row(failure) for failure in self.failures],
                "excluded": [_failure_row(failure) for failure in self.excluded],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> ShardOutcome:
        """The outcome that :meth:`as_json` wrote."""
        document = json.loads(text)
        for name in ("failures", "excluded"):
            document[name] = [_failure_of(row) for row in document[name]]
        return cls(**document)


def _failure_row(failure: Failure) -> list[str | int | None]:
    row = failure.row if isinstance(failure, RowFailure) else None
    return [failure.utterance_id, failure.error_type, failure.message, row]


def _failure_of(row: list[str | int | None]) -> Failure:
    name, reason, message, number = row
    values = (name, "ingest", reason, message)
    return Failure(*values) if number is None else RowFailure(*values, number)  # type: ignore[arg-type]
