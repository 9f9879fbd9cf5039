"""JSON objects that hold a digest of the rest of themselves: a flipped bit is noticed.

The digest is of what the object says, not of its bytes: it may be laid out anew. Objects without
one, of earlier versions and of other writers, pass.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from raypipe.errors import ShardError

SEAL: Final = "sha256"
"""Key of the digest."""


def sealed_json(document: Mapping[str, object]) -> bytes:
    """An object as JSON, with its digest."""
    whole = {**document, SEAL: _digest(document)}
    return json.dumps(whole, indent=2, ensure_ascii=False).encode()


def opened_json(data: bytes, where: str) -> Any:
    """What a JSON text says, compared with its digest and without it.

    Args:
        data: the text.
        where: it was read, for messages.

    Raises:
        ShardError: if it is no JSON, or says something else than when it was written.
    """
    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ShardError(f"{where} is not JSON: {error}") from error
    if isinstance(document, dict) and SEAL in document:
        seal = document.pop(SEAL)
        if seal != _digest(document):
            raise ShardError(
                f"{where} has changed since it was written: its {SEAL} is not that of the rest"
            )
    return document


def is_sealed_json(data: bytes) -> bool:
    """Whether a JSON text holds a digest of the rest of itself."""
    document = json.loads(data)
    return isinstance(document, dict) and SEAL in document


def _digest(document: Mapping[str, object]) -> str:
    text = json.dumps(document, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
