"""Small corpora of shards with rationales, written without any teacher."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from raypipe.explain.export.config import ExportConfig
from raypipe.explain.gold import gold_label
from raypipe.explain.rationale.rounds import Rationale
from raypipe.explain.rationale.table import rationales_table
from raypipe.labels import LABEL_SETS, LabelSet
from raypipe.records import Utterance, Vote
from raypipe.shards import read_index, write_shards
from raypipe.store.location import Location
from raypipe.store.objects import object_bytes
from raypipe.store.rationale_schema import RATIONALE_TABLES, Purpose
from raypipe.store.run_record import RunRecord, write_record
from raypipe.votes import soft_label

LABELS = LABEL_SETS["msp-podcast-8"]
REASON = 'The words "number {}" say little. The voice is high, rising and fast, with few pauses.'


def clip(number: int, kind: str = "FLAC") -> bytes:
    sink = io.BytesIO()
    samples = np.random.default_rng(number).uniform(-0.1, 0.1, 1600)
    soundfile.write(sink, samples.astype(np.float32), 16_000, format=kind)
    return sink.getvalue()


def spoken(
    number: int,
    label: str | None,
    *,
    dataset: str = "one",
    split: str | None = "train",
    labels: LabelSet = LABELS,
    **changes: Any,
) -> Utterance:
    """An utterance whose annotators agree on a label; None for a tie."""
    words = (label, label) if label else labels.names[:2]
    votes = tuple(Vote(f"a{at}", (word,)) for at, word in enumerate(words))
    counted = soft_label(votes, labels)
    utterance = Utterance(
        utterance_id=f"{dataset}-{number:03d}",
        dataset=dataset,
        split=split,
        speaker=f"{dataset}-s{number % 5}",
        audio=clip(number),
        sampling_rate=16_000,
        duration_s=0.1,
        transcript=f"This is number {number}.",
        votes=votes,
        soft_label=counted.probs,
        plurality=counted.plurality,
        n_votes=counted.n_votes,
    )
    return replace(utterance, **changes)


@dataclass
class ExportWorld:
    """A folder with corpora, rationales and exports."""

    folder: Path

    def corpus(
        self, name: str, rows: Iterable[Utterance], labels: LabelSet = LABELS
    ) -> tuple[str, list[Utterance]]:
        """Write shards; their place and rows."""
        written = list(rows)
        place = self.folder / f"shards-{name}"
        write_shards(written, Location.parse(str(place)), labels, source="test", rows_per_shard=7)
        return str(place), written

    def rationales(
        self,
        name: str,
        shards: str,
        rows: Sequence[Utterance],
        *,
        texts: Mapping[str, str | None] | None = None,
        purpose: Purpose = "train",
        **record: Any,
    ) -> str:
        """Write a table of rationales as a job does; the job's output."""
        place = Location.parse(str(self.folder / f"rationales-{name}"))
        index = read_index(Location.parse(shards))
        made = []
        for number, row in enumerate(rows):
            label = gold_label(row)
            if label is not None:
                text = {**(texts or {})}.get(row.utterance_id, REASON.format(number))
                made.append((row, Rationale(label, row.transcript, text, tries=1)))
        table = rationales_table(
            made, run="r", model="teacher", prompt="rationale", purpose=purpose, left_out={}
        )
        data = object_bytes(table, model="teacher", prompt="rationale", fingerprint="f")
        part = "model=teacher/prompt=rationale/shard-00000.parquet"
        place.write(f"{RATIONALE_TABLES[purpose]}/{part}", data)
        facts: dict[str, Any] = {
            "name": name,
            "run": "r",
            "status": "finished",
            "fingerprint": f"f-{name}",
            "generation_fingerprint": "f",
            "input_fingerprint": index.fingerprint,
            "labels": index.labels,
            "config": {"purpose": purpose},
            "seed": 0,
            "versions": {},
            "started": "now",
        }
        write_record(place, RunRecord(**{**facts, **record}))
        return place.uri

    def explained(self, name: str, rows: Iterable[Utterance], **more: Any) -> dict[str, Any]:
        """A corpus with rationales, as it stands in a config."""
        shards, written = self.corpus(name, rows)
        return {
            "shards": shards,
            "rationales": self.rationales(name, shards, written),
            "splits": ["train"],
            **more,
        }

    def config(self, *corpora: Mapping[str, Any], **changes: Any) -> ExportConfig:
        document = {"corpora": list(corpora), "output": str(self.folder / "out"), **changes}
        return ExportConfig.model_validate(document)


def all_bytes(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
