"""Which clips go through an encoder together."""

from __future__ import annotations

from collections.abc import Sequence


def batches_by_length(
    lengths: Sequence[int], *, pads: bool, most_clips: int, most_samples: int
) -> list[list[int]]:
    """Rows of clips in batches, the shortest clips first.

    Args:
        lengths: samples of every clip.
        pads: clips of different lengths may go together.
        most_clips: in a batch.
        most_samples: in a batch, padding included; a longer clip goes by itself.

    Example:
        >>> batches_by_length([9, 5, 9, 8], pads=True, most_clips=2, most_samples=100)
        [[1, 3], [0, 2]]
        >>> batches_by_length([9, 5, 9, 8], pads=False, most_clips=2, most_samples=100)
        [[1], [3], [0, 2]]
    """
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        batch = batches[-1] if batches else []
        joins = (
            batch
            and len(batch) < most_clips
            and (len(batch) + 1) * lengths[row] <= most_samples
            and (pads or lengths[batch[-1]] == lengths[row])
        )
        if joins:
            batch.append(row)
        else:
            batches.append([row])
    return batches
