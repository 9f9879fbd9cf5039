"""What an answer may be asked to look like."""

from __future__ import annotations

import json

from raypipe.labels import LabelSet
from raypipe.records import Grammar


def distribution_grammar(labels: LabelSet) -> Grammar:
    """Exactly one JSON object with one number per label."""
    schema = {
        "type": "object",
        "properties": {name: {"type": "number"} for name in labels.names},
        "required": list(labels.names),
        "additionalProperties": False,
    }
    return Grammar("json_schema", json.dumps(schema))
