"""Shard lists as the field writes them: ``train-{000000..000007}.tar``."""

from __future__ import annotations

import re

from raypipe.errors import ConfigError

_RANGE = re.compile(r"\{(?P<first>\d+)\.\.(?P<last>\d+)\}")
_MOST = 1_000_000


def expanded(pattern: str) -> list[str]:
    """The names a pattern with ranges in braces stands for.

    Raises:
        ConfigError: for a range that runs backwards, or more than a million names.

    Example:
        >>> expanded("s3://b/train-{08..10}.tar")
        ['s3://b/train-08.tar', 's3://b/train-09.tar', 's3://b/train-10.tar']
    """
    match = _RANGE.search(pattern)
    if match is None:
        return [pattern]
    first, last = int(match["first"]), int(match["last"])
    if not 0 <= last - first < _MOST:
        raise ConfigError(f"{pattern!r}: {match.group()} is no range of shards")
    head, tail, width = pattern[: match.start()], pattern[match.end() :], len(match["first"])
    return [
        name
        for number in range(first, last + 1)
        for name in expanded(f"{head}{number:0{width}d}{tail}")
    ]
