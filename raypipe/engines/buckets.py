"""Groups of rows of similar length that are computed together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_SIMILAR = 0.8


def similar_lengths(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Split rows so that padding to a group's longest row wastes little.

    Args:
        lengths: of each row.
        budget: most that a group may hold, padding included; a single row may exceed it.

    Yields:
        Groups of indices into ``lengths``, longest first; nothing in a group is shorter than 0.8
        of its first.

    Example:
        >>> list(similar_lengths([4, 10, 9, 10], budget=25))
        [[1, 3], [2], [0]]
    """
    group: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        if group:
            longest = lengths[group[0]]
            if lengths[row] < _SIMILAR * longest or (len(group) + 1) * longest > budget:
                yield group
                group = []
        group.append(row)
    if group:
        yield group
