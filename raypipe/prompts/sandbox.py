"""Jinja for templates of strangers: they see what they are given, and end.

Jinja's own sandbox keeps them from Python's insides, but not from loops in loops or texts of
gigabytes. Here every rendering has a budget of turns (of loops, calls of macros) and of characters
(written, joined, added), which the compiled template itself draws on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Final

from jinja2 import StrictUndefined, Template, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment
from jinja2.visitor import NodeTransformer

MOST_TURNS: Final = 20_000
"""Turns of all loops and calls of macros in one rendering."""
MOST_CHARACTERS: Final = 4_000_000
"""Characters that one rendering may write and join on its way to a prompt."""

_BUDGET: Final = "_raypipe_budget"
# Widths and precisions of four digits, or given as a value: "%9999d", "%*d".
_WIDE: Final = re.compile(r"%[^a-zA-Z%]*(?:\d{4}|\*)")
_GROWING: Final = frozenset(
    {"center", "expandtabs", "format", "format_map", "ljust", "replace", "rjust", "translate"}
    | {"zfill", "join"}
)
_GROWING_FILTERS: Final = ("center", "indent", "wordwrap", "pprint", "tojson", "urlize", "xmlattr")


class RenderingBudget:
    """What one rendering may still use."""

    def __init__(self) -> None:
        self._turns = MOST_TURNS
        self._characters = MOST_CHARACTERS

    def turn(self, characters: int) -> str:
        """Begin a turn of a loop or a macro, whose own text has so many characters."""
        self._turns -= 1
        if self._turns < 0:
            raise SecurityError(f"its loops and macros take more than {MOST_TURNS} turns")
        self.write(characters)
        return ""

    def write(self, characters: int) -> None:
        """Use characters."""
        self._characters -= characters
        if self._characters < 0:
            raise SecurityError(f"it writes more than {MOST_CHARACTERS} characters")

    def joined(self, *parts: object) -> str:
        """What ``~`` makes."""
        texts = [str(part) for part in parts]
        self.write(sum(map(len, texts)))
        return "".join(texts)


class PromptEnvironment(SandboxedEnvironment):
    """The sandbox that prompts are rendered in."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, trim_blocks=True, finalize=_counted)
        for name in ("lipsum", "cycler", "joiner", "namespace"):
            self.globals.pop(name)
        for name in _GROWING_FILTERS:
            self.filters.pop(name)
        self.filters |= {
            "format": _narrow(self.filters["format"]),
            "replace": _short(self.filters["replace"]),
            "join": _bounded_join(self.filters["join"]),
        }

    def compiled(self, source: str) -> Template:
        """A template that draws on its budget, see :meth:`rendered`."""
        tree = _Metered().visit(self.parse(source))
        return Template.from_code(self, self.compile(tree), self.make_globals(None))

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Whether a template may use an attribute: no method that makes texts long."""
        if isinstance(obj, str) and attr in _GROWING:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        """Arithmetic; texts and lists are added within bounds, and not multiplied."""
        if isinstance(left, int | float) and isinstance(right, int | float):
            if operator == "**" and abs(right) > 64:
                raise SecurityError(f"a power of {right}")
        elif operator == "+" and isinstance(left, str | list) and isinstance(right, str | list):
            context[_BUDGET].write(len(left) + len(right))
        elif operator == "%" and isinstance(left, str):
            _check_format(left)
        else:
            raise SecurityError(f"{operator} of {type(left).__name__} and {type(right).__name__}")
        return super().call_binop(context, operator, left, right)


def rendered(template: Template, **values: object) -> str:
    """A template of :meth:`PromptEnvironment.compiled` filled with values.

    Raises:
        jinja2.TemplateError: if it cannot be, or uses up its budget.
    """
    return template.render(values, **{_BUDGET: RenderingBudget()})


@pass_context
def _counted(context: Context, value: object) -> object:
    """A value that is written, counted."""
    if isinstance(value, str):
        context[_BUDGET].write(len(value))
    return value


class _Metered(NodeTransformer):
    """Puts the budget into loops, macros and ``~``."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 (jinja's name)
        self.generic_visit(node)
        node.body.insert(0, _turn(node.body))
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Macro:  # noqa: N802
        self.generic_visit(node)
        node.body.insert(0, _turn(node.body))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Call:  # noqa: N802
        self.generic_visit(node)
        return _call("joined", node.nodes)


def _turn(body: list[nodes.Node]) -> nodes.Output:
    texts = [text.data for node in body for text in node.find_all(nodes.TemplateData)]
    return nodes.Output([_call("turn", [nodes.Const(sum(map(len, texts)))])])


def _call(method: str, arguments: list[nodes.Expr]) -> nodes.Call:
    budget = nodes.Name(_BUDGET, "load")
    return nodes.Call(nodes.Getattr(budget, method, "load"), arguments, [], None, None)


def _check_format(text: str) -> None:
    if _WIDE.search(text):
        raise SecurityError("a format of four digits")


def _narrow(function: Callable[..., str]) -> Callable[..., str]:
    @wraps(function)
    def narrow(value: str, *arguments: object, **named: object) -> str:
        _check_format(str(value))
        return function(value, *arguments, **named)

    return narrow


def _short(function: Callable[..., str]) -> Callable[..., str]:
    @wraps(function)
    def short(context: object, value: str, old: str, new: str, count: int | None = None) -> str:
        text = str(value)
        if len(text) + text.count(str(old)) * len(str(new)) > MOST_CHARACTERS:
            raise SecurityError(f"replace makes more than {MOST_CHARACTERS} characters")
        return function(context, value, old, new, count)

    return short


def _bounded_join(function: Callable[..., str]) -> Callable[..., str]:
    @wraps(function)
    def bounded(context: object, value: object, *arguments: object, **named: object) -> str:
        values = list(value) if isinstance(value, list | tuple | str) else value
        if isinstance(values, list):
            separator = len(str(arguments[0] if arguments else named.get("d", "")))
            size = sum(len(each) if isinstance(each, str) else 50 for each in values)
            if size + separator * len(values) > MOST_CHARACTERS:
                raise SecurityError(f"join makes more than {MOST_CHARACTERS} characters")
        return function(context, values, *arguments, **named)

    return bounded
