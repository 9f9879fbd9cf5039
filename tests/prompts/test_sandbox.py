"""Templates that would take for ever, or all of the memory, end with one line."""

from __future__ import annotations

import resource
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
    "a width of a field": "{{ '{:>999999999}'.format(1) }}",
    "a longer width of a field": "{{ '{:4000000000}'.format(1) }}",
    "three widths of fields": "{{ '{:999999999}{:999999999}{:999999999}'.format(1, 2, 3) }}",
    "a precision of a field": "{{ '{:.999999999f}'.format(1.5) }}",
    "a width in a field's braces": "{{ '{:{}}'.format(1, 999999999) }}",
    "a width in a map": "{{ '{a:>{b}}'.format_map({'a': 1, 'b': 999999999}) }}",
    "a width in digits of another script": "{{ '{:٩٩٩٩٩٩٩٩٩}'.format(1) }}",
    "a width by the filter attr": "{{ ('{:999999999}' | attr('format'))(1) }}",
    "doubling by fields": DOUBLED + "{% set x = '{0}{0}'.format(x) %}" * 40,
    "doubling by %": DOUBLED + "{% set x = '%(a)s%(a)s' % {'a': x} %}" * 40,
    "one value in many fields": "{% set x = range(99999) | join %}{{ '"
    + "%(a)s" * 3_000
    + "' % {'a': x} }}",
    "slices": "{{ ['a'] | slice(100000000) | list | length }}",
    "slices by name": "{{ ['a'] | slice(slices=100000000) | list | length }}",
    "slices in turn": "{{ ['slice'] | map('slice', 100000000) | map('list') | list | length }}",
    "a batch": "{{ ['a'] | batch(1000000000, 'x') | list | length }}",
    "a batch by name": "{{ ['a'] | batch(linecount=1000000000, fill_with='x') | list | length }}",
    "doubling by batches": "{% set x = ['a'] %}"
    + "{% set x = ['a'] | batch(3, x) | list %}" * 40
    + "{{ x }}",
    "doubling by lists": "{% set x = ['a'] %}" + "{% set x = [x, x] %}" * 40 + "{{ x }}",
    "doubling by pairs": "{% set x = 'a' %}" + "{% set x = (x, x) %}" * 40 + "{{ x | string }}",
    "doubling by dict": "{% set x = 'a' %}" + "{% set x = dict(a=x, b=x) %}" * 40 + "{{ x }}",
    "doubling by extend": "{% set x = [1] %}" + "{% set _ = x.extend(x) %}" * 40,
    "doubling by append": "{% set x = [1] %}"
    + "{% set y = [] %}{% set _ = y.append(x) %}{% set _ = y.append(x) %}{% set x = y %}" * 40
    + "{{ x }}",
    "doubling by sum": "{% set x = [1] %}" + "{% set x = [x, x] | sum(start=[]) %}" * 40,
    "doubling by a default": "{% set x = 'a' %}"
    + "{% set x = [1, 2] | map(attribute='q', default=x) | list %}" * 40
    + "{{ x }}",
    "copies by parts": "{% set x = range(99999) | join %}"
    + "".join(f"{{% set x{number} = x[1:] %}}" for number in range(3_000)),
    "a list again and again": "{% for a in range(9999) %}"
    "{% set x = range(99999) | list %}{% endfor %}",
    "a long separator": "{% set x = range(99999) | join %}{{ range(99999) | join(x) | length }}",
    "padding of bytes": "{{ 'a'.encode().ljust(999999999) | length }}",
    "bytes of a number": "{{ (1).to_bytes(999999999, 'big') | length }}",
    "squares": "{% set x = 9 %}" + "{% set x = x * x %}" * 40,
    "a power of a power": "{% set x = 9 %}" + "{% set x = x ** 64 %}" * 6,
    "a precision of round": "{{ 1 | round(999999999, 'floor') }}",
    "a budget of its own": "{% set _raypipe_budget = dict(turn=range) %}"
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "a budget filled up": "{{ _raypipe_budget.write(-999999999) }}",
    "a budget in other letters": "{% set _r\uff41ypipe_budget = 1 %}",
}


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("template", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_in_seconds_and_little_memory(template: str) -> None:
    began, kilobytes = time.monotonic(), _most_memory()
    with pytest.raises(ConfigError, match="the prompt template cannot be filled") as refused:
        render(template)
    assert time.monotonic() - began < 20  # a machine may be busy; none of these ends by itself
    assert _most_memory() - kilobytes < 300_000
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


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ '{:>8.2f}|{a[0]}|{}'.format(1.5, 'x', a=['y']) }}", "1.50|y|x"),
        ("{{ '{0:>{1}}'.format('x', 3) ~ '{a!r}'.format_map({'a': 'b'}) }}", "x'b'"),
        ("{{ labels | slice(2) | map('join', '+') | join(' / ') }}", "a+b / c"),
        ("{{ labels | batch(2, '-') | map('join', '+') | join(' / ') }}", "a+b / c+-"),
        ("{{ labels | map('upper') | sort(reverse=true) | list }}", "['C', 'B', 'A']"),
        ("{{ labels | reject('eq', 'b') | list | length }} {{ [1, 2] | sum }}", "2 3"),
        ("{{ [{'n': 2}, {'n': 1}] | sort(attribute='n') | join(', ', attribute='n') }}", "1, 2"),
        ("{{ labels[1:] }} {{ labels[0] }} {{ none }} {{ (1, 2) }}", "['b', 'c'] a None (1, 2)"),
        ("{% for name, share in {'a': 1}.items() %}{{ name }}{{ share }}{% endfor %}", "a1"),
        ("{% for name, share in {'a': 1} | dictsort %}{{ name }}{{ share }}{% endfor %}", "a1"),
        (
            "{% set x = [] %}{% for a in labels %}{% set _ = x.append(a) %}{% endfor %}{{ x[2] }}",
            "c",
        ),
        ("{{ 'a b'.split() | join('-') }} {{ 2.345 | round(1) }} {{ '<' | e }}", "a-b 2.3 &lt;"),
        ("{{ 2 ** 10 }} {{ 1000 * 1000 }} {{ '%(a)s' % {'a': 'x'} }}", "1024 1000000 x"),
        ("{% for g in ['ab', 'b', 'ac'] | groupby('0') %}{{ g.list | join }}{% endfor %}", "abacb"),
        ("{% filter upper %}x{% endfilter %}{{ 'y' is in ['y'] }}", "XTrue"),
    ],
)
def test_filters_and_methods_do_what_they_did(template: str, text: str) -> None:
    assert render(template, labels=["a", "b", "c"]) == text
