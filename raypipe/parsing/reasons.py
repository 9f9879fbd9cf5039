"""Names of the rules and of the reasons why an answer is invalid, as they are recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

RULES: Final[Mapping[str, str]] = {
    "json": "an object, or a list of objects, pairs or records, of labels with numbers",
    "parallel_lists": "a list of labels beside a list of as many numbers",
    "number_list": "numbers in brackets, in the order of the labels; alone, padded or cut to K",
    "table": "a table with a column of labels and one of shares, or labels above numbers",
    "percent_list": "labels beside numbers in lines or running text: anger: 35%, 35% anger",
    "label_list": "a bare list of labels: uniform over them, unknown entries ignored",
    "keyword": "the label that a field or a sentence states; uniform over a list of them",
    "none": "nothing was read",
}
"""The rules in the order in which they are tried, each with what it reads."""

REASONS: Final[Mapping[str, str]] = {
    "empty": "the text is blank",
    "no_answer": "no label is named and no distribution given",
    "refusal": "the model says that it cannot judge",
    "single_number": "one number, and no label for it",
    "ambiguous": "a label or a number is left over, two readings differ, or labels are only denied",
    "truncated": "the text ends in the middle of the answer",
    "unfinished_thinking": "the text ends while the model is thinking",
    "too_long": "longer than 16,384 characters, and no whole object at its end",
    "unknown_labels": "labels outside the set have more of it than may be dropped",
    "not_finite": "a share is not finite",
    "negative": "a share is negative",
    "all_zero": "all shares are zero",
}
"""Why an answer is invalid."""
