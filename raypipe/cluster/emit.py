"""Values inside YAML templates: whatever they hold, they stay values.

Every ``{{ expression }}`` of a template becomes one line of YAML in flow style, by the environment
and not by a filter that a template could forget. A text is plain only where every reader of YAML
1.1 and 1.2 takes it for a text; else it stands in double quotes with escapes.
"""

from __future__ import annotations

import re
from functools import cache

import jinja2
import yaml

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf", "infinity"}
_NO_FOLDING = 1 << 31


class BlockText(str):
    """Text of a file, two steps deep in its manifest: legible there where YAML can show it so."""

    __slots__ = ()

    @property
    def is_shown(self) -> bool:
        """Whether it is printable lines with an end each, of which the last says something."""
        *lines, rest = self.split("\n")
        return not rest and all(map(str.isprintable, lines)) and bool("".join(lines[-1:]).strip())


class _OneLineDumper(yaml.SafeDumper):
    """PyYAML's safe dumper with texts as above, and without references to earlier values."""

    def ignore_aliases(self, data: object) -> bool:
        """Write a value as often as it is there."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_OneLineDumper.add_representer(str, _text)


def as_yaml(value: object) -> str:
    """A value as one line of YAML, or the block of a file's text.

    Example:
        >>> print(as_yaml({"cpu": "4", "name": "a: b", "on": [True, "yes", 3]}))
        {cpu: "4", name: "a: b", "on": [true, "yes", 3]}
    """
    if isinstance(value, BlockText):
        if value.is_shown:
            return "|2\n" + "\n".join(f"    {line}" if line else "" for line in value.splitlines())
        value = str(value)
    text = yaml.dump(
        value,
        Dumper=_OneLineDumper,
        default_flow_style=True,
        width=_NO_FOLDING,
        sort_keys=False,
        allow_unicode=True,
    )
    return text.removesuffix("\n").removesuffix("\n...")


@cache
def templates() -> jinja2.Environment:
    """The manifests' templates; a name that is not set is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("raypipe", "cluster"),
        undefined=jinja2.StrictUndefined,
        finalize=as_yaml,
        autoescape=False,  # every value is written by as_yaml
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
