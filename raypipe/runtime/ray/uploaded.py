"""The folder that ``ray job submit --working-dir`` uploads: no place for what is to stay."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from raypipe.errors import ConfigError

# Ray's own names: below a node's session, beside the other kinds of packages.
_PACKAGES = ("runtime_resources", "working_dir_files")


def refuse_uploaded_folder(output: str) -> None:
    """Refuse to write results into Ray's copy of a submitted folder.

    Ray deletes the copy when it likes, other nodes have their own, and the same command again gets
    another one: it would begin anew without a word.

    Args:
        output: as the user wrote it: a path or a URI.

    Raises:
        ConfigError: if it lies there; a relative path of a submitted job does.
    """
    if "://" not in output and _PACKAGES in pairwise(Path(output).absolute().parts):
        raise ConfigError(
            f"output {output!r} lies in Ray's copy of the submitted folder, which does not last: "
            "name an absolute path that every node has, or an s3:// URI"
        )
