"""A finished run of any size with made-up hypotheses, without a model.

Texts are what models write: mostly a JSON object, some with reasoning before it, some lists in
prose, one word, or nothing that can be read. Every text is different.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from raypipe.config import RunConfig, parse_config
from raypipe.labels import LABEL_SETS
from raypipe.records import (
    EmotionTokens,
    EmotionWord,
    Generation,
    Hypothesis,
    HypothesisKind,
    Utterance,
    Vote,
)
from raypipe.store.generations import Answered, generations_table
from raypipe.store.location import Location
from raypipe.store.objects import object_bytes
from raypipe.store.run_record import RunCounts, RunRecord, write_record
from raypipe.store.tables import errors_table

LABELS = LABEL_SETS["crema-d-6"]
FORMS = 4
TOKENS = EmotionTokens(
    words=tuple(
        EmotionWord(label, f"{label}{form}", (FORMS * place + form,))
        for place, label in enumerate(LABELS.names)
        for form in range(FORMS)
    ),
    token_ids=tuple(range(FORMS * len(LABELS))),
    token_strings=tuple(f"{label}{form}" for label in LABELS.names for form in range(FORMS)),
)
STEPS = 60
PARTITION = "model=made-up/prompt=distribution"


def make_run(
    folder: Path, utterances: int, *, beams: int = 5, rows_per_shard: int = 200, seed: int = 0
) -> Path:
    """Write ``generations/``, ``errors/`` and ``run.json`` of a finished run."""
    tables = Location.parse(str(folder))
    config = _config(folder, beams)
    made_up = ["made-up model"], ["made-up prompt"], ["made-up questions"]
    generation = config.generation_identity("made-up input", *made_up)
    fingerprint = config.prediction_identity(generation)
    for shard, start in enumerate(range(0, utterances, rows_per_shard)):
        rng = np.random.default_rng((seed, shard))
        count = min(rows_per_shard, utterances - start)
        answered = [_answered(f"u{start + row:07d}", beams, rng) for row in range(count)]
        table = generations_table(
            answered,
            run=fingerprint[:12],
            model="made-up",
            prompt="distribution",
            labels=LABELS,
            emotion_tokens=TOKENS,
        )
        errors = errors_table([], run=fingerprint[:12], shard=None, shard_rows=count)
        for name, rows, mark in (
            ("generations", table, generation),
            ("errors", errors, fingerprint),
        ):
            data = object_bytes(rows, model="made-up", prompt="distribution", fingerprint=mark)
            tables.write_new(f"{name}/{PARTITION}/shard-{shard:06d}.parquet", data, mark)
    record = RunRecord(
        name=config.name,
        run=fingerprint[:12],
        status="finished",
        fingerprint=fingerprint,
        generation_fingerprint=generation,
        input_fingerprint="made-up input",
        dataset="made-up",
        labels=LABELS.names,
        config=config.model_dump(mode="json"),
        seed=0,
        versions={},
        started="2026-01-01T00:00:00+00:00",
        counts=RunCounts(input=utterances, predicted=utterances, errors=0, strategies={}),
    )
    write_record(tables, record)
    return folder


def _config(folder: Path, beams: int) -> RunConfig:
    return parse_config(
        {
            "name": "made up",
            "input": {"shards": str(folder / "no-shards")},
            "output": str(folder),
            "model": {"name": "made-up"},
            "decoding": {"beam_count": beams},
        }
    )


def _answered(name: str, beams: int, rng: np.random.Generator) -> Answered:
    votes = rng.multinomial(8, rng.dirichlet(np.full(len(LABELS), 0.4)))
    given = [label for label, count in zip(LABELS.names, votes, strict=True) for _ in range(count)]
    best = np.flatnonzero(votes == votes.max())
    utterance = Utterance(
        utterance_id=name,
        dataset="made-up",
        split="test",
        speaker=f"s{rng.integers(91):02d}",
        audio=b"",
        sampling_rate=16_000,
        duration_s=2.5,
        votes=tuple(Vote(f"a{place}", (label,)) for place, label in enumerate(given)),
        soft_label=tuple((votes / votes.sum()).tolist()),
        plurality=LABELS.names[best[0]] if best.size == 1 else None,
        n_votes=int(votes.sum()),
    )
    concentration = 6.0 * votes / votes.sum() + 0.2
    hypotheses = tuple(_hypotheses(concentration, beams, rng))
    return Answered(utterance, Generation(name, hypotheses, prompt_tokens=180, audio_tokens=62))


def _hypotheses(
    concentration: np.ndarray, beams: int, rng: np.random.Generator
) -> Iterator[Hypothesis]:
    lanes: list[tuple[HypothesisKind, int]] = [("greedy", 0), *(("beam", b) for b in range(beams))]
    for kind, rank in lanes:
        steps = int(rng.integers(STEPS - 15, STEPS + 15))
        logprobs = -rng.exponential(0.15, steps).astype(np.float32)
        logits = rng.normal(8.0, 3.0, (steps, len(TOKENS.token_ids))).astype(np.float32)
        yield Hypothesis(
            kind=kind,
            rank=rank,
            text=_text(rng.dirichlet(concentration), rng),
            token_ids=tuple(rng.integers(0, 4_000, steps).tolist()),
            token_logprobs=logprobs,
            alpha=float(logprobs.sum()) - rank,
            finish_reason="stop",
            emotion_logits=logits,
        )


def _text(probs: np.ndarray, rng: np.random.Generator) -> str:
    shares = dict(zip(LABELS.names, probs.round(3).tolist(), strict=True))
    kind = rng.random()
    if kind < 0.75:
        return json.dumps(shares)
    if kind < 0.9:
        heard = " ".join(f"The voice has a pitch of {value:.1f} Hz." for value in 200 * probs)
        return f"Let me listen step by step. {heard}\n```json\n{json.dumps(shares)}\n```"
    if kind < 0.96:
        return ", ".join(f"{label}: {100 * share:.1f}%" for label, share in shares.items())
    return f"The speaker sounds like {LABELS.names[int(probs.argmax())]}." if kind < 0.99 else "?"
