"""What comes out of a Ray Data stream."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import ray
import ray.data


def rows_of(stream: ray.data.Dataset) -> Generator[dict[str, Any], None, None]:
    """The rows of a stream of Arrow blocks, as they come; the stream ends with who asks for them.

    ``iter_batches`` takes them through threads, batches and statistics of its own, for a row of a
    few bytes two fifths of a driver's work.

    Raises:
        RayError: as the stream does.
    """
    bundles, _, executor = stream.iterator()._to_ref_bundle_iterator()
    try:
        for bundle in bundles:
            for block in ray.get(list(bundle.block_refs)):
                yield from block.to_pylist()
    finally:
        if executor is not None:
            executor.shutdown(force=True)
