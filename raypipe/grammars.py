"""Grammars that answers can be held to."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from raypipe.config import AskedGrammar, GrammarConfig
from raypipe.labels import LabelSet
from raypipe.records import Grammar, GrammarKind

_NUMBER = r"(0(\.[0-9]{1,4})?|1(\.0{1,4})?)"
_BREAK = r"( |\n {0,4})?"


def grammar_of(
    asked: AskedGrammar | None, labels: LabelSet, kinds: Sequence[GrammarKind]
) -> Grammar | None:
    """Grammar that a run's ``decoding.grammar`` means for its labels and its engine.

    Args:
        asked: what the config says.
        labels: what a distribution is one over.
        kinds: the kinds of grammar that the engine takes, the preferred one first.
    """
    if asked is None:
        return None
    if asked == "distribution":
        preferred = next(iter(kinds), "regex")
        return distribution_regex(labels) if preferred == "regex" else distribution_schema(labels)
    return users_grammar(asked)


def users_grammar(asked: GrammarConfig) -> Grammar:
    """Grammar that a user wrote down."""
    if asked.regex is not None:
        return Grammar("regex", asked.regex)
    return Grammar("json_schema", json.dumps(asked.json_schema))


def distribution_regex(labels: LabelSet) -> Grammar:
    """Exactly one JSON object with one number in [0, 1] per label, in the labels' order.

    Numbers have four decimals at most and blanks are bounded, so that every answer ends; line
    breaks with an indentation of up to four spaces are allowed, as many models write them. That
    the numbers sum to 1 is left to the model, and that they are not all zero too: a model that
    gives every label nothing should be counted as having no answer.

    Example:
        >>> answer = re.compile(distribution_regex(LabelSet(("anger", "sadness"))).source)
        >>> bool(answer.fullmatch('{"anger": 0.25, "sadness": 0.75}'))
        True
        >>> bool(answer.fullmatch('{"anger": 25, "sadness": 75}'))
        False
    """
    names = (re.escape(json.dumps(name, ensure_ascii=False)) for name in labels.names)
    entries = f",{_BREAK}".join(f"{name}: ?{_NUMBER}" for name in names)
    return Grammar("regex", rf"\{{{_BREAK}{entries}[ \n]?\}}")


def distribution_schema(labels: LabelSet) -> Grammar:
    """Exactly one JSON object with one number per label.

    Bounds and digits are not in it: not every endpoint takes a schema that has them.
    """
    schema = {
        "type": "object",
        "properties": {name: {"type": "number"} for name in labels.names},
        "required": list(labels.names),
        "additionalProperties": False,
    }
    return Grammar("json_schema", json.dumps(schema))
