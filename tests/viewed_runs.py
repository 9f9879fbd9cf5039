"""Finished runs with hostile text in every place that a corpus or a model can write to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from in_process import InProcess, utterance

from raypipe.records import Utterance, Vote
from raypipe.store.location import Location

HOSTILE = (
    "<script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\">"
    "\u202eesrever \x1b[31mred\x07 javascript:document.title='hacked' {{ 7 * 7 }}"
)
HOSTILE_ID = "u9\"><script>document.title='hacked'</script>"
STRATEGIES = ["greedy", "cot", "w_bon", "token_softmax"]
CLIPS = 8
SECONDS = 1.5


def clips() -> list[Utterance]:
    """Clips u0 to u7; u8, which is no sound; and one of which everything is hostile."""
    rows = [
        dataclasses.replace(
            utterance(f"u{number}", SECONDS),
            transcript=f"Sentence {number}, said TWICE.",
            facts={"gender": "female" if number % 2 else "male", "age": str(20 + 5 * number)},
        )
        for number in range(CLIPS)
    ]
    hostile = dataclasses.replace(
        utterance("u9", SECONDS),
        utterance_id=HOSTILE_ID,
        transcript=HOSTILE,
        context=(HOSTILE,),
        votes=(Vote(HOSTILE, ("anger",), typed=HOSTILE), Vote("b", ("fear", "anger"))),
        facts={HOSTILE: HOSTILE, "gender": HOSTILE},
    )
    broken = dataclasses.replace(utterance("u8", SECONDS), audio=b"no sound at all " * 9)
    return [*rows, broken, hostile]


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """A Parquet file with its rows changed."""
    table = pq.read_table(path, partitioning=None)
    rows = table.to_pylist()
    for row in rows:
        change(row)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def finish(runs: InProcess, name: str, **changes: Any) -> Path:
    """A finished run in a folder of its own, with the model's words replaced by hostile ones."""
    output = runs.folder / name
    options = {"fail": ["long"], "fail_ids": ["u2"]}
    model = {"engine": "fake", "path": "none", "name": "fake", "options": options}
    plan = runs.finished(output=str(output), strategies=STRATEGIES, **{"model": model, **changes})
    assert plan is not None

    def speak(row: dict[str, Any]) -> None:
        if row["utterance_id"] == HOSTILE_ID:
            for hypothesis in row["hypotheses"]:
                hypothesis["text"] = HOSTILE

    for path in output.glob("generations/**/*.parquet"):
        rewritten(path, speak)
    return output


class RunsBesideEachOther(InProcess):
    """Runs whose tables lie in folders beside each other."""

    output = ""

    @property
    def tables(self) -> Location:
        return Location.parse(self.output or str(self.folder / "out"))

    def finished(self, **changes: Any) -> Any:
        self.output = str(changes.pop("output", ""))
        return super().finished(**changes)
