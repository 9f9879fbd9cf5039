"""Names of splits: which may be trained on, and which only evaluated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from raypipe.errors import ConfigError

UNSPLIT: Final = "unsplit"
"""What a config calls utterances of corpora that have no splits."""

_EVALUATION = re.compile(r"test|dev|val|eval|held|hold", re.IGNORECASE)
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def is_evaluation_split(name: str) -> bool:
    """Whether a split's name says that nothing may be learnt from it.

    Example:
        >>> [is_evaluation_split(name) for name in ("Test1", "dev_clean", "train", "validation")]
        [True, True, False, True]
        >>> is_evaluation_split("latest")
        False
    """
    return any(_EVALUATION.match(part) for part in _PART.findall(name))


def check_training_splits(splits: Sequence[str], what: str) -> None:
    """Refuse evaluation splits where gold labels are shown or learnt.

    Args:
        splits: by name.
        what: is made of them, for the message.

    Raises:
        ConfigError: if there are none, or one of them is an evaluation split by its name.
    """
    if not splits:
        raise ConfigError(
            f"splits: name the training splits that {what} are made of; {UNSPLIT} for utterances "
            "of a corpus without splits"
        )
    refused = [name for name in splits if is_evaluation_split(name)]
    if refused:
        raise ConfigError(
            f"splits: {', '.join(refused)}: {what} show the gold label, so they are made of "
            "training splits only"
        )


def split_name(split: str | None) -> str:
    """A split as configs and counts call it."""
    return split or UNSPLIT
