"""A miniature corpus on disk: invented content in the real layout, generated audio."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from raypipe.corpora import load_corpus
from raypipe.corpora.containers import ClipEntry
from raypipe.records import Failure, Utterance
from raypipe.store.location import Location


def clip(
    duration_s: float = 0.1, sampling_rate: int = 16_000, channels: int = 1, kind: str = "WAV"
) -> bytes:
    """A short tone as an encoded file."""
    time_s = np.arange(round(duration_s * sampling_rate)) / sampling_rate
    tone = 0.2 * np.sin(2 * np.pi * 220 * time_s)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.column_stack([tone] * channels), sampling_rate, format=kind)
    return buffer.getvalue()


CLIP = clip()


def assert_same_clips(held: Sequence[ClipEntry], found: Sequence[Utterance | Failure]) -> None:
    """A container must list what it will give: an entry each, and no failure as somebody's id."""
    assert len(held) == len(found)
    for entry, row in zip(held, found, strict=True):
        if isinstance(row, Utterance):
            assert entry.utterance_id == row.utterance_id
            assert entry.size >= len(row.audio)  # of a part, the whole is known
        else:
            assert entry.utterance_id in (None, row.utterance_id)
    named = [entry.utterance_id for entry in held if entry.utterance_id is not None]
    assert len({*named}) == len(named)


class CorpusFolder:
    """Writes a corpus's files and reads it with its adapter."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.location = Location.parse(str(root))

    def file(self, name: str, content: str | bytes, encoding: str = "utf-8") -> None:
        assert not name.startswith("/"), "it would lie outside of the folder"
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))

    def clips(self, folder: str, *stems: str, suffix: str = ".wav") -> None:
        for stem in stems:
            self.file(f"{folder}/{stem}{suffix}", CLIP)

    def read(self, corpus: str, **options: object) -> dict[str, Utterance]:
        """The utterances of a corpus without failures, by id."""
        found, failures = self.read_all(corpus, **options)
        assert failures == []
        return found

    def read_all(
        self, corpus: str, **options: object
    ) -> tuple[dict[str, Utterance], list[Failure]]:
        """The utterances of a corpus by id, and its failures."""
        rows = list(load_corpus(corpus, options).read(self.location))
        utterances = [row for row in rows if isinstance(row, Utterance)]
        found = {row.utterance_id: row for row in utterances}
        assert len(found) == len(utterances)
        return found, [row for row in rows if isinstance(row, Failure)]
