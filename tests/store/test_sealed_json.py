"""JSON objects that answer for themselves."""

from __future__ import annotations

import json

import pytest

from raypipe.errors import ShardError
from raypipe.store.sealed_json import SEAL, is_sealed_json, opened_json, sealed_json

DOCUMENT = {"name": "Zoë", "counts": {"utterances": 400, "share": 0.1 + 0.2}, "labels": ["anger"]}


def test_what_was_written_is_read() -> None:
    data = sealed_json(DOCUMENT)
    assert opened_json(data, "run.json") == DOCUMENT
    assert is_sealed_json(data)


def test_it_may_be_laid_out_anew() -> None:
    shuffled = dict(reversed(json.loads(sealed_json(DOCUMENT)).items()))
    assert opened_json(json.dumps(shuffled).encode(), "run.json") == DOCUMENT


@pytest.mark.parametrize("document", [DOCUMENT, [1, 2], "text"])
def test_one_without_a_seal_passes(document: object) -> None:
    data = json.dumps(document).encode()
    assert opened_json(data, "run.json") == document
    assert not is_sealed_json(data)


def read_flipped(place: int) -> object:
    """What is read where one bit has flipped; None where that is noticed."""
    flipped = bytearray(sealed_json(DOCUMENT))
    flipped[place // 8] ^= 1 << place % 8
    try:
        return opened_json(bytes(flipped), "run.json")
    except ShardError:
        return None


def test_no_flipped_bit_changes_what_is_read() -> None:
    read = [read_flipped(place) for place in range(8 * len(sealed_json(DOCUMENT)))]
    unnoticed = [document for document in read if document is not None]
    # White space that became other white space; and the name of the seal, then one key too many.
    others = [document for document in unnoticed if document != DOCUMENT]
    assert len(unnoticed) < len(read) / 10
    assert 0 < len(others) <= 8 * len(SEAL)
    for document in others:
        assert isinstance(document, dict)
        assert {key: document.pop(key) for key in DOCUMENT} == DOCUMENT
        assert len(document) == 1


def test_a_message_says_where() -> None:
    changed = sealed_json(DOCUMENT).replace(b"400", b"401")
    with pytest.raises(ShardError, match=r"^s3://bucket/run\.json has changed since"):
        opened_json(changed, "s3://bucket/run.json")
