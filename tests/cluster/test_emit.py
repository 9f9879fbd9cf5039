"""Values stay values, whatever they hold."""

from __future__ import annotations

import random

import pytest
import yaml

from raypipe.cluster.emit import BlockText, as_yaml, templates

HOSTILE = [
    "a: b",
    "- x",
    "\n---\nkind: Secret\n",
    '"}}, {kind: ClusterRoleBinding}',
    "'; # comment",
    "{{ 7 * 7 }}{% raw %}",
    "!!python/object/apply:os.system [id]",
    "&anchor *alias <<",
    "yes",
    "null",
    "~",
    "1e3",
    "0o17",
    "0x1F",
    "1_000",
    "12:30:45",
    "2026-11-27",
    ".inf",
    "=",
    "",
    " ",
    "\t",
    "line\r\nend",
    "\N{LINE SEPARATOR}\N{NEXT LINE}\N{ZERO WIDTH NO-BREAK SPACE}",
    "\N{GRINNING FACE}\N{LATIN SMALL LETTER E WITH ACUTE}",
    "\x1b[31m\x7f\x01",
    "x" * 5000 + " " + "y" * 5000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
@pytest.mark.parametrize("kind", [str, BlockText])
def test_a_hostile_text_is_one_value_of_the_manifest(text: str, kind: type[str]) -> None:
    source = "outer:\n  inner: {{ text }}\n  list: [{{ text }}, {{ {text: text} }}]\nafter: 1\n"
    if kind is BlockText:  # it ends a line
        source = "outer:\n  inner: {{ text }}\nafter: 1\n"
    document = yaml.safe_load(templates().from_string(source).render(text=kind(text)))
    assert document["outer"]["inner"] == text
    assert document["after"] == 1
    if kind is str:
        assert document["outer"]["list"] == [text, {text: text}]


def test_random_texts_come_back() -> None:
    chance = random.Random(0)
    alphabet = "ab \n\t\r:-#{}[]'\"\\&*!|>%@`,?~=0123456789.\x00\x85\u2028\ufeff\U0001f600é"
    for _ in range(2000):
        text = "".join(chance.choices(alphabet, k=chance.randrange(12))).replace("\0", "")
        for kind in (str, BlockText):
            shown = templates().from_string("a:\n  b: {{ x }}\nc: d\n").render(x=kind(text))
            assert yaml.safe_load(shown) == {"a": {"b": text}, "c": "d"}, ascii(text)


def test_a_text_that_another_reader_takes_for_a_number_is_quoted() -> None:
    """Kubernetes reads ``1e3`` as a number, PyYAML as a text."""
    for text in ("1e3", "1", "0o7", "yes", "Off", "1_0", "5.", "+1", "null"):
        assert as_yaml(text) == f'"{text}"'


def test_a_files_text_is_legible_where_yaml_can_show_it() -> None:
    assert as_yaml(BlockText("a: 1\n\n  b\n")) == "|2\n    a: 1\n\n      b"
    for text in ("no end", "two\n\n", "tab\there\n", "\n", "  \n", "\r\n"):
        assert as_yaml(BlockText(text)).startswith('"')
