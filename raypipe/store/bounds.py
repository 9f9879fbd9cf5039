"""Folders that what a corpus names must lie below, links in it included."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import PurePath

from raypipe.errors import OutsideError

_HUB_KINDS = ("datasets--", "models--", "spaces--")


class Bounds:
    """Folders, and single files, that may be read.

    A folder of the Hugging Face hub's cache (``datasets--org--name/snapshots/revision``) is made of
    links into ``blobs`` beside ``snapshots``, which therefore belongs to it.

    Args:
        roots: paths; what they lead to if they are links.
    """

    def __init__(self, roots: Iterable[str]) -> None:
        real = [os.path.realpath(root) for root in roots]
        self._roots = [*real, *(blobs for root in real for blobs in _hub_blobs(root))]

    def real_path(self, path: str | os.PathLike[str]) -> str:
        """What a path leads to.

        Raises:
            OutsideError: if that lies below none of the roots.
        """
        real = os.path.realpath(path)
        if any(real == root or real.startswith(f"{root.rstrip('/')}/") for root in self._roots):
            return real
        raise OutsideError(
            f"{path} leads to {real}, which is not below {self._roots[0]}; --allow may name more "
            "folders"
        )


def _hub_blobs(root: str) -> Iterator[str]:
    parts = PurePath(root).parts
    for at, name in enumerate(parts[1:], start=1):
        if name == "snapshots" and parts[at - 1].startswith(_HUB_KINDS):
            yield str(PurePath(*parts[:at], "blobs"))
