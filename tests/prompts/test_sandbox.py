"""Templates that would take for ever, or all of the memory, end with one line."""

from __future__ import annotations

import time

import pytest

from raypipe.errors import ConfigError
from raypipe.prompts import render

DOUBLED = "{% set x = 'a' %}"

BOMBS = {
    "loops in loops": "{% for a in range(99999) %}{% for b in range(99999) %}"
    "{% endfor %}{% endfor %}",
    "a long text": "{{ 'a' * 1000000000 }}",
    "a long list": "{{ [1] * 1000000000 }}",
    "a power": "{{ 9 ** 999999999 }}",
    "a width": "{{ '%999999999d' % 1 }}",
    "a width as a filter": "{{ '%999999999d' | format(1) }}",
    "a width as a value": "{{ '%*d' % (999999999, 1) }}",
    "a width as a method": "{{ '{:999999999}'.format(1) }}",
    "padding": "{{ 'a'.ljust(999999999) }}",
    "padding by a filter": "{{ 'a' | center(999999999) }}",
    "indentation": "{{ 'a\n' | indent(999999999) }}",
    "filler": "{{ lipsum(n=100000) }}",
    "doubling by ~": DOUBLED + "{% set x = x ~ x %}" * 40,
    "doubling by +": DOUBLED + "{% set x = x + x %}" * 40,
    "doubling by blocks": DOUBLED + "{% set x %}{{ x }}{{ x }}{% endset %}" * 40,
    "doubling by join": DOUBLED + "{% set x = [x, x] | join %}" * 40,
    "doubling by replace": DOUBLED + "{% set x = x | replace('a', 'aa') %}" * 40,
    "text in a loop": "{% for a in range(99999) %}" + "text " * 100 + "{% endfor %}",
    "captured text in a loop": "{% set x %}{% for a in range(99999) %}"
    + "text " * 100
    + "{% endfor %}{% endset %}",
    "a macro that calls itself twice": "{% macro m(n) %}{{ m(n - 1) }}{{ m(n - 1) }}{% endmacro %}"
    "{{ m(1) }}",
    "a macro that grows": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}"
    "{% endmacro %}{{ m(60) }}",
    "a long range": "{{ range(999999999) | list }}",
    "a sum of lists": "{% set x = [1] %}" + "{% set x = x + x %}" * 40,
}


@pytest.mark.parametrize("template", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_in_seconds(template: str) -> None:
    began = time.monotonic()
    with pytest.raises(ConfigError, match="the prompt template cannot be filled") as refused:
        render(template)
    assert time.monotonic() - began < 20  # a machine may be busy; none of these ends by itself
    assert len(str(refused.value)) < 500


def test_what_templates_do_is_still_done() -> None:
    template = (
        "{% macro named(x) %}<{{ x }}>{% endmacro %}"
        "{% for label in labels %}{{ loop.index }}:{{ named(label | upper) ~ '!' }} {% endfor %}"
        "{{ labels | join(', ') }} {{ '%.1f' | format(0.25 + 1) }} {{ '%d%%' % 50 }}"
        " {{ 2 * 3 }} {{ 7 % 4 }} {{ 'a' + 'b' }} {{ 'x-y' | replace('-', ' ') }}"
    )
    assert render(template, labels=["joy", "fear"]) == (
        "1:<JOY>! 2:<FEAR>! joy, fear 1.2 50% 6 3 ab x y"
    )


def test_a_long_transcript_fits() -> None:
    text = "word " * 100_000
    assert render("{{ transcript }}", transcript=text) == text.strip()
