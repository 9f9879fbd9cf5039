"""Finished runs whose answers are written by hand, for jobs that read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from raypipe.labels import LABEL_SETS
from raypipe.records import (
    EmotionTokens,
    Failure,
    Generation,
    Hypothesis,
    OptionOrder,
    Utterance,
)
from raypipe.runtime.finish.partition import partition
from raypipe.store.generations import Answered, generations_table
from raypipe.store.location import Location
from raypipe.store.objects import object_bytes
from raypipe.store.run_record import RunRecord, write_record
from raypipe.tiny_alm.spoken import (
    DATASET,
    clip_id,
    sentence,
    spoken_votes,
)
from raypipe.votes import soft_label

LABELS = LABEL_SETS["msp-podcast-8"]


def unheard(count: int, seed: int = 0) -> list[Utterance]:
    """Utterances of the spoken corpus with votes and transcripts, and without their sound."""
    rows = []
    for index in range(count):
        votes = spoken_votes(index, "test", seed)
        counted = soft_label(votes, LABELS)
        name = clip_id(index, "test")
        rows.append(
            Utterance(
                *(name, DATASET, "test", name.rpartition("-")[0], b"", 16_000, 2.0),
                transcript=sentence(index, "test", seed),
                votes=votes,
                soft_label=counted.probs,
                plurality=counted.plurality,
                n_votes=counted.n_votes,
            )
        )
    return rows


PlaceT = TypeVar("PlaceT", Path, str)


def answered_run(
    place: PlaceT,
    texts: Sequence[str | None],
    utterances: Sequence[Utterance],
    *,
    prompt: str = "open_form",
    options: OptionOrder | None = None,
    status: str = "finished",
) -> PlaceT:
    """A run, in a folder or at a URI, in which texts answer utterances; None is a failure."""
    answered = []
    for text, utterance in zip(texts, utterances, strict=True):
        answer: Generation | Failure
        if text is None:
            answer = Failure(utterance.utterance_id, "engine", "out_of_memory", "made up")
        else:
            hypothesis = Hypothesis("greedy", 0, text, (1, 2), None, None, "stop", None)
            answer = Generation(utterance.utterance_id, (hypothesis,), 10, 5)
        answered.append(Answered(utterance, answer, 2.0))
    rows = generations_table(
        answered,
        run="abc",
        model="m",
        prompt=prompt,
        labels=LABELS,
        emotion_tokens=EmotionTokens((), (), ()),
        options=options,
    )
    tables = Location.parse(str(place))
    name = f"generations/{partition('m', prompt)}/shard-00000.parquet"
    tables.write(name, object_bytes(rows, model="m", prompt=prompt, fingerprint=str(place)))
    write_record(
        tables,
        RunRecord(
            name="made up",
            run="abc",
            status=status,
            fingerprint=str(place),
            generation_fingerprint=str(place),
            input_fingerprint="i",
            identity={},
            dataset=DATASET,
            labels=LABELS.names,
            vote_policy=None,
            config={"prompt": {"template": prompt, "name": None}, "prompts": []},
            seed=0,
            versions={},
            started="2026-01-01T00:00:00+00:00",
        ),
    )
    return place
