import json
import re

import pytest

from raypipe.config import GrammarConfig
from raypipe.grammars import distribution_regex, distribution_schema, grammar_of
from raypipe.labels import LABEL_SETS, LabelSet
from raypipe.parsing import parse_answer
from raypipe.records import Grammar

LABELS = LabelSet(("anger", "sadness"))


@pytest.mark.parametrize(
    "text",
    [
        '{"anger":0.25,"sadness":0.75}',
        '{"anger": 0.3333, "sadness": 0.6667}',
        '{"anger": 1, "sadness": 0}',
        '{"anger": 1.0, "sadness": 0.0}',
        '{\n  "anger": 0.5,\n  "sadness": 0.5\n}',
        '{\n    "anger": 0.5,\n    "sadness": 0.5\n}',
    ],
)
def test_distributions_as_models_write_them_match(text):
    assert re.fullmatch(distribution_regex(LABELS).source, text)
    assert parse_answer(text, LABELS).rule == "json"


@pytest.mark.parametrize(
    "text",
    [
        '{"anger": 0.25}',
        '{"sadness": 0.75, "anger": 0.25}',
        '{"anger": 25, "sadness": 75}',
        '{"anger": 1.5, "sadness": 0}',
        '{"anger": -0.5, "sadness": 0.5}',
        '{"anger": .5, "sadness": 0.5}',
        '{"anger": 0.33333, "sadness": 0.5}',
        '{"anger": 1e-3, "sadness": 0.5}',
        '{"anger": 0.5,   "sadness": 0.5}',
        ' {"anger": 0.5, "sadness": 0.5}',
        '{"anger": 0.5, "sadness": 0.5} I think',
    ],
)
def test_everything_else_does_not(text):
    assert not re.fullmatch(distribution_regex(LABELS).source, text)


@pytest.mark.parametrize(
    "labels", [*LABEL_SETS.values(), LabelSet(("a (b)", 'say "c"', "gr\u00fcn"))]
)
def test_every_label_stands_in_both_forms(labels):
    shares = [round(1 / len(labels), 4)] * len(labels)
    text = json.dumps(dict(zip(labels.names, shares, strict=True)), ensure_ascii=False)
    assert re.fullmatch(distribution_regex(labels).source, text)
    schema = json.loads(distribution_schema(labels).source)
    assert schema["required"] == list(schema["properties"]) == list(labels.names)


def test_endpoints_are_sent_a_schema_and_other_engines_get_more_than_one_can_say():
    assert grammar_of("distribution", LABELS, ("json_schema",)) == distribution_schema(LABELS)
    for kinds in (("regex", "json_schema"), ()):
        assert grammar_of("distribution", LABELS, kinds) == distribution_regex(LABELS)


def test_what_a_user_wrote_is_meant():
    assert grammar_of(None, LABELS, ("regex", "json_schema")) is None
    regex = GrammarConfig(regex="[01]")
    assert grammar_of(regex, LABELS, ("regex", "json_schema")) == Grammar("regex", "[01]")
    schema = GrammarConfig(json_schema={"type": "null"})
    assert grammar_of(schema, LABELS, ("json_schema",)) == Grammar(
        "json_schema", '{"type": "null"}'
    )
