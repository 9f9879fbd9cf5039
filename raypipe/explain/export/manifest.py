"""``manifest.json``: what went into an export, counted."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from raypipe.explain.export.candidates import CorpusCandidates, LineCandidate
from raypipe.explain.export.config import ExportConfig
from raypipe.explain.export.drawing import Drawn
from raypipe.explain.export.lines import TrainingLine
from raypipe.prompts import template_source

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1

Manifest = dict[str, object]
"""JSON values."""


def export_fingerprint(config: ExportConfig, corpora: Sequence[CorpusCandidates]) -> str:
    """SHA-256 over everything that can change a line or a clip.

    Args:
        config: of the export.
        corpora: what its corpora offer, in order.
    """
    settings = config.model_dump(mode="json", exclude={"output", "storage"})
    if config.audio == "files":  # where shards lie changes no line then
        for corpus in settings["corpora"]:
            del corpus["shards"]
    for corpus in settings["corpora"]:
        corpus["rationales"] = corpus["rationales"] is not None
    document = {
        "format": FORMAT,
        "settings": settings,
        "shards": [corpus.index.fingerprint for corpus in corpora],
        "rationales": [
            None
            if corpus.table is None
            else [corpus.table.record.fingerprint, sorted(corpus.table.texts.items())]
            for corpus in corpora
        ],
        "prompts": [template_source(form) for form in ("open_form", "closed_form")],
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def make_manifest(
    config: ExportConfig,
    corpora: Sequence[CorpusCandidates],
    drawn: Drawn,
    lines: Mapping[str, Sequence[TrainingLine]],
    *,
    fingerprint: str,
    files: Mapping[str, str],
    audio: Mapping[str, object],
) -> Manifest:
    """All that ``manifest.json`` says.

    Args:
        config: of the export.
        corpora: what its corpora offer, in order.
        drawn: which of it became lines.
        lines: by part.
        fingerprint: of the export.
        files: SHA-256 of the text files, by name.
        audio: what is said of the clips.
    """
    return {
        "format": FORMAT,
        "name": config.name,
        "fingerprint": fingerprint,
        "made_from": [
            _corpus(config, number, corpus, drawn) for number, corpus in enumerate(corpora)
        ],
        "labels": list(config.label_set.names),
        "reasons": config.reasons,
        "contains": {part: len(own) for part, own in lines.items()},
        "lines": {part: _lines(own) for part, own in lines.items()},
        "speakers_in_both": len(
            {
                (candidate.dataset, candidate.speaker)
                for candidate in drawn.train
                if candidate.speaker
            }
            & {
                (candidate.dataset, candidate.speaker)
                for candidate in drawn.development
                if candidate.speaker
            }
        ),
        "files": dict(sorted(files.items())),
        "audio": dict(audio),
        "settings": config.model_dump(mode="json", exclude={"output", "storage", "corpora"}),
    }


def _corpus(
    config: ExportConfig, number: int, corpus: CorpusCandidates, drawn: Drawn
) -> dict[str, object]:
    own = config.corpora[number]
    table = corpus.table
    offered = Counter(candidate.part for candidate in corpus.candidates)
    return {
        "dataset": corpus.index.dataset,
        "shards": own.shards,
        "fingerprint": corpus.index.fingerprint,
        "licence": corpus.index.licence,
        "splits": list(own.splits),
        "map": dict(config.map_of(own)),
        "rationales": None
        if table is None
        else {
            "output": own.rationales,
            "run": table.record.run,
            "fingerprint": table.record.fingerprint,
            "teachers": list(table.teachers),
            "rationales": len(table.texts),
            "utterances": len(table.labels),
        },
        "counts": {
            "utterances": corpus.index.rows,
            "other_splits": dict(sorted(corpus.not_in_splits.items())),
            "left_out": dict(sorted(corpus.left_out.items())),
            "candidates": dict(sorted(offered.items())),
            "over_corpus_cap": drawn.over_corpus_cap[number],
            "balanced_away": drawn.balanced_away[number],
            "over_max_samples": drawn.over_total[number],
            "over_development_cap": drawn.over_development_cap[number],
            "train": _labels(drawn.train, number),
            "development": _labels(drawn.development, number),
        },
    }


def _labels(candidates: Sequence[LineCandidate], corpus: int) -> dict[str, int]:
    counts = Counter(candidate.label for candidate in candidates if candidate.corpus == corpus)
    return dict(sorted(counts.items()))


def _lines(lines: Sequence[TrainingLine]) -> dict[str, object]:
    candidates = [line.candidate for line in lines]
    return {
        "lines": len(lines),
        "with_reason": sum(candidate.reason is not None for candidate in candidates),
        "instructions": dict(sorted(Counter(line.form for line in lines).items())),
        "labels": dict(sorted(Counter(candidate.label for candidate in candidates).items())),
        "speakers": len({(candidate.dataset, candidate.speaker) for candidate in candidates}),
        "seconds": round(sum(candidate.duration_s for candidate in candidates), 3),
    }
