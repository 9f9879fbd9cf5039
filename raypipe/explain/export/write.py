"""The folder of an export: written beside its place and renamed when it is whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from raypipe.errors import ConfigError, FingerprintError, ShardError, StoreError
from raypipe.explain.export.candidates import CorpusCandidates, LineCandidate, corpus_candidates
from raypipe.explain.export.clips import AUDIO, clip_stems, file_ending
from raypipe.explain.export.config import ExportConfig
from raypipe.explain.export.drawing import draw
from raypipe.explain.export.lines import (
    TrainingLine,
    dataset_info,
    messages_line,
    sharegpt_line,
    training_line,
)
from raypipe.explain.export.manifest import (
    MANIFEST,
    Manifest,
    export_fingerprint,
    make_manifest,
)
from raypipe.records import Utterance
from raypipe.shards import read_shard
from raypipe.shards.references import shard_reference

LLAMA_FACTORY: Final = "llamafactory"
"""Folder of what LLaMA-Factory reads; only beside clips that are files."""

SUMS: Final = "audio.sha256"
"""Digests of the clips, as ``sha256sum --check`` reads them."""


def export(config: ExportConfig) -> Manifest:
    """Write the training files that a config asks for; the folder appears when it is whole.

    The same config and corpora give the same bytes. An output that holds them already is left as
    it is.

    Args:
        config: what to do.

    Returns:
        What ``manifest.json`` says.

    Raises:
        ConfigError: if corpora or rationales cannot be used, or nothing is left to train on.
        ShardError: if a shard cannot be read.
        FingerprintError: if the output holds something else.
        StoreError: if the disk or the storage refuses.
    """
    output = Path(config.output)
    corpora = [corpus_candidates(config, number) for number in range(len(config.corpora))]
    _check_development(config, corpora)
    fingerprint = export_fingerprint(config, corpora)
    there = _manifest_there(output, fingerprint)
    if there is not None:
        return there
    drawn = draw([candidate for corpus in corpora for candidate in corpus.candidates], config)
    labels = config.label_set
    parts = {"train": drawn.train, "development": drawn.development}
    lines = {
        part: [training_line(candidate, config, labels) for candidate in chosen]
        for part, chosen in parts.items()
    }
    folder = output.with_name(f".{output.name}.part")
    try:
        if folder.exists():  # of an export that was killed
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        chosen = [*drawn.train, *drawn.development]
        if config.audio == "files":
            places, audio = _write_clips(folder, chosen, corpora)
        else:
            places = [
                shard_reference(
                    corpora[candidate.corpus].shards, candidate.shard, candidate.utterance_id
                )
                for candidate in chosen
            ]
            audio = {"kind": "references"}
        texts = _texts(config, lines, places)
        files = {name: _write(folder / name, text.encode()) for name, text in texts.items()}
        manifest = make_manifest(
            config,
            corpora,
            drawn,
            lines,
            fingerprint=fingerprint,
            files=files,
            audio=audio,
        )
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        _write(folder / MANIFEST, text.encode())
        _publish(folder, output)
    except OSError as error:
        raise StoreError(f"cannot write {output}: {error.strerror or error}") from error
    return manifest


def _manifest_there(output: Path, fingerprint: str) -> Manifest | None:
    """The manifest of an output that holds the same export already.

    Raises:
        FingerprintError: if it holds something else.
    """
    if not output.exists():
        return None
    try:
        manifest = json.loads((output / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = None
    if isinstance(manifest, dict) and manifest.get("fingerprint") == fingerprint:
        return manifest
    raise FingerprintError(
        f"{output} holds something else than this export ({fingerprint[:12]}). Choose another "
        "output, or move that folder away."
    )


def _check_development(config: ExportConfig, corpora: Sequence[CorpusCandidates]) -> None:
    """Refuse development splits that no corpus has: nothing would stop early.

    Raises:
        ConfigError: naming them and the splits there are.
    """
    wanted = {*((config.development and config.development.splits) or ())}
    there = {name for corpus in corpora for name in corpus.splits_seen}
    if missing := sorted(wanted - there):
        raise ConfigError(
            f"development.splits: no corpus has {', '.join(missing)}; there are "
            f"{', '.join(sorted(there)) or 'none'}"
        )


def _write_clips(
    folder: Path, chosen: Sequence[LineCandidate], corpora: Sequence[CorpusCandidates]
) -> tuple[list[str], dict[str, object]]:
    """Write the chosen clips with their bytes as they are; their paths, and what is said of them.

    Raises:
        ShardError: if a clip is not there any more.
    """
    (folder / AUDIO).mkdir()
    stems = clip_stems(chosen)
    wanted: dict[tuple[int, str], dict[str, int]] = {}
    for place, candidate in enumerate(chosen):
        wanted.setdefault((candidate.corpus, candidate.shard), {})[candidate.utterance_id] = place
    names = [""] * len(chosen)
    sums: dict[str, str] = {}
    total = 0
    for number, corpus in enumerate(corpora):
        for entry in corpus.index.shards:
            places = dict(wanted.get((number, entry.name), {}))
            if not places:
                continue
            for row in read_shard(corpus.shards, entry):
                if isinstance(row, Utterance) and row.utterance_id in places:
                    place = places.pop(row.utterance_id)
                    name = f"{AUDIO}/{stems[place]}.{file_ending(row.audio)}"
                    names[place] = name
                    sums[name] = _write(folder / name, row.audio)
                    total += len(row.audio)
            if places:
                missing = ", ".join(sorted(places))
                raise ShardError(f"{corpus.shards.uri}/{entry.name}: no audio of {missing}")
    listing = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    digest = _write(folder / SUMS, listing.encode())
    facts = {"kind": "files", "files": len(sums), "bytes": total, SUMS: digest}
    return names, facts


def _texts(
    config: ExportConfig, lines: Mapping[str, Sequence[TrainingLine]], places: Sequence[str]
) -> dict[str, str]:
    """Text files of the export, by name; ``places`` are those of all lines in order."""
    texts: dict[str, str] = {}
    sets: dict[str, str] = {}
    start = 0
    for part, own in lines.items():
        audio = places[start : start + len(own)]
        start += len(own)
        if not own:
            continue
        pairs = list(zip(own, audio, strict=True))
        texts[f"{part}.jsonl"] = "".join(messages_line(line, place) for line, place in pairs)
        if config.audio == "files":
            texts[f"{LLAMA_FACTORY}/{part}.jsonl"] = "".join(
                sharegpt_line(line, f"../{place}") for line, place in pairs
            )
            sets[f"{config.name}_{part}"] = f"{part}.jsonl"
    if sets:
        texts[f"{LLAMA_FACTORY}/dataset_info.json"] = dataset_info(sets)
    return texts


def _write(path: Path, data: bytes) -> str:
    """Write a file to the disk; its SHA-256."""
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    return hashlib.sha256(data).hexdigest()


def _publish(folder: Path, output: Path) -> None:
    """Give a whole folder its name, in one step: it is there whole or not at all."""
    folder.rename(output)
    handle = os.open(output.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
