"""Names of an export's clips, as files beside the lines."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final

from raypipe.explain.export.candidates import LineCandidate

AUDIO: Final = "audio"
"""Folder of the files."""

_ENDINGS: Final[Mapping[bytes, str]] = {
    **{b"fLaC": "flac", b"RIFF": "wav", b"RF64": "wav", b"OggS": "ogg", b"ID3": "mp3"},
    **{b"\xff\xfb": "mp3", b"\xff\xf3": "mp3", b"\xff\xf2": "mp3", b"FORM": "aiff"},
}
_LONGEST_NAME: Final = 120


def clip_stems(candidates: Sequence[LineCandidate]) -> list[str]:
    """File names without endings, all different: the utterance ids as far as they can be."""
    stems: list[str] = []
    taken: set[str] = set()
    for candidate in candidates:
        safe = re.sub(r"[^A-Za-z0-9._-]", "_", candidate.utterance_id)[:_LONGEST_NAME]
        stem = safe
        if safe != candidate.utterance_id or safe.startswith(".") or safe.lower() in taken:
            digest = hashlib.sha256("\0".join(candidate.key).encode()).hexdigest()[:12]
            stem = f"{safe.lstrip('.')}-{digest}"
        taken.add(stem.lower())
        stems.append(stem)
    return stems


def file_ending(audio: bytes) -> str:
    """The ending of an encoded file by its first bytes; ``bin`` for one that is not known.

    Example:
        >>> file_ending(b"fLaC..."), file_ending(b"?")
        ('flac', 'bin')
    """
    return next((end for start, end in _ENDINGS.items() if audio.startswith(start)), "bin")
