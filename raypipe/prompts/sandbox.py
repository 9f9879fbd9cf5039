"""Jinja for templates of strangers: they see what they are given, and end.

Jinja's own sandbox keeps them from Python's insides, but not from loops in loops or texts of
gigabytes. Here every rendering has a budget of turns (of loops, calls of macros) and of characters
(written, joined, added, held in lists, made by filters and methods), which the compiled template
itself draws on, as far as it can be told before a text or a list is made.
"""

from __future__ import annotations

import re
import types
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Final

from jinja2 import StrictUndefined, Template, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, Macro
from jinja2.sandbox import SandboxedEnvironment, SandboxedFormatter
from jinja2.utils import _PassArg
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

MOST_TURNS: Final = 20_000
"""Turns of all loops and calls of macros in one rendering."""
MOST_CHARACTERS: Final = 4_000_000
"""Characters that one rendering may write, join and hold on its way to a prompt."""

_BUDGET: Final = "_raypipe_budget"
_MOST_BITS: Final = 4096
"""Of a whole number that is multiplied or raised to a power."""
_LARGEST_POWER: Final = 64
_OTHER: Final = 30
"""Characters of a value that is neither a text nor a container."""
# Widths and precisions of four digits, or given as a value: "%9999d", "%*d", "{:>9999}".
_WIDE: Final = re.compile(r"%[^a-zA-Z%]*(?:\d{4}|\*)")
_FOUR_DIGITS: Final = re.compile(r"\d{4}")
_GROWING: Final = frozenset(
    {"center", "expandtabs", "format", "format_map", "ljust", "replace", "rjust", "translate"}
    | {"zfill", "join", "encode"}
)
_GROWING_NUMBERS: Final = frozenset({"to_bytes"})
_GROWING_FILTERS: Final = ("center", "indent", "wordwrap", "pprint", "tojson", "urlize", "xmlattr")
_FOR_JINJA: Final = frozenset({"_loop_vars", "_block_vars"})
"""Arguments that compiled templates hand on from call to call."""


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
        texts = []
        for part in parts:
            texts.append(str(part))
            self.write(len(texts[-1]))
        return "".join(texts)

    def hold(self, value: object) -> object:
        """A value that was made, after its characters were used; items that come, as they come."""
        if isinstance(value, Iterator):
            return self._held_items(value)
        self.write(self.size(value))
        return value

    def _held_items(self, items: Iterable[object]) -> Iterator[object]:
        for item in items:
            self.write(1)
            yield self.hold(item)

    def size(self, value: object) -> int:
        """Characters of a value, those of what it holds as often as it is there.

        Counting ends where the budget does: a list may hold itself.
        """
        size, waiting = 0, [value]
        while waiting and size <= self._characters:
            each = waiting.pop()
            if isinstance(each, str | bytes):
                size += len(each)
            elif isinstance(each, Mapping | list | tuple | set | frozenset):
                size += 1 + len(each)
                if size <= self._characters:
                    waiting.extend(each)
                    waiting.extend(each.values() if isinstance(each, Mapping) else ())
            elif isinstance(each, int):
                size += 1 + each.bit_length() // 3
            else:
                size += _OTHER
        return size


class PromptEnvironment(SandboxedEnvironment):
    """The sandbox that prompts are rendered in."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, trim_blocks=True, finalize=_counted)
        for name in ("lipsum", "cycler", "joiner", "namespace"):
            self.globals.pop(name)
        for name in _GROWING_FILTERS:
            self.filters.pop(name)
        self.filters = {
            name: _metered(function, _CHECKS.get(name)) for name, function in self.filters.items()
        }

    def compiled(self, source: str) -> Template:
        """A template that draws on its budget, see :func:`rendered`.

        Raises:
            jinja2.TemplateError: if it is none, or names the budget.
        """
        if _BUDGET in unicodedata.normalize("NFKC", source):  # as Python reads names
            raise SecurityError(f"it names {_BUDGET}")
        tree = _Metered().visit(self.parse(source))
        return Template.from_code(self, self.compile(tree), self.make_globals(None))

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Whether a template may use an attribute: no method that makes texts long."""
        if isinstance(obj, str) and attr in _GROWING:
            return False
        if isinstance(obj, int) and attr in _GROWING_NUMBERS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: object) -> Callable[..., str] | None:
        """A text's ``format`` or ``format_map`` within the budget; None for another value."""
        if not isinstance(value, types.BuiltinMethodType | types.MethodType):
            return None
        text, name = value.__self__, value.__name__
        if not isinstance(text, str) or name not in ("format", "format_map"):
            return None

        @pass_context
        def formatted(context: Context, *arguments: object, **named: object) -> str:
            if isinstance(text, Markup):
                raise SecurityError(f"{name} of a text that was escaped")
            if name == "format_map":
                (values,) = arguments
                if not isinstance(values, Mapping):
                    raise TypeError(f"format_map of {type(values).__name__}")
                arguments, named = (), dict(values)
            filled: str = _Formatter(self, context[_BUDGET]).vformat(text, arguments, named)
            return filled

        return formatted

    def call(
        self, context: Context, function: object, /, *arguments: object, **named: object
    ) -> object:
        """A call of anything but a macro and the budget; what it takes and makes is counted."""
        budget = context[_BUDGET]
        if isinstance(function, Macro) or getattr(function, "__self__", None) is budget:
            return super().call(context, function, *arguments, **named)
        for value in (*arguments, *(named[name] for name in named.keys() - _FOR_JINJA)):
            budget.write(budget.size(value))
        return budget.hold(super().call(context, function, *arguments, **named))

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        """Arithmetic; texts and lists are added within bounds, and not multiplied."""
        budget = context[_BUDGET]
        if isinstance(left, int | float) and isinstance(right, int | float):
            _check_numbers(operator, left, right)
        elif operator == "+" and isinstance(left, str | list) and isinstance(right, str | list):
            budget.write(budget.size(left) + budget.size(right))
        elif operator == "%" and isinstance(left, str):
            _check_format(budget, left, right)
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
    """A value that is written, as text, counted."""
    text = value if isinstance(value, str) else str(value)
    context[_BUDGET].write(len(text))
    return text


class _Formatter(SandboxedFormatter):
    """``str.format`` within a budget."""

    def __init__(self, environment: SandboxedEnvironment, budget: RenderingBudget) -> None:
        super().__init__(environment)
        self._budget = budget

    def format_field(self, value: object, format_spec: str) -> str:
        """One field; what its format holds in braces was filled before."""
        if _FOUR_DIGITS.search(format_spec):
            raise SecurityError("a format of four digits")
        text: str = super().format_field(value, format_spec)
        self._budget.write(len(text))
        return text


class _Metered(NodeTransformer):
    """Puts the budget into loops, macros, ``~``, parts of sequences, lists and their like."""

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

    def visit_List(self, node: nodes.List) -> nodes.Call:  # noqa: N802
        self.generic_visit(node)
        return _call("hold", [node])

    def visit_Dict(self, node: nodes.Dict) -> nodes.Call:  # noqa: N802
        self.generic_visit(node)
        return _call("hold", [node])

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:  # noqa: N802
        self.generic_visit(node)
        return _call("hold", [node]) if node.ctx == "load" else node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:  # noqa: N802
        self.generic_visit(node)
        return _call("hold", [node]) if isinstance(node.arg, nodes.Slice) else node


def _turn(body: list[nodes.Node]) -> nodes.Output:
    texts = [text.data for node in body for text in node.find_all(nodes.TemplateData)]
    return nodes.Output([_call("turn", [nodes.Const(sum(map(len, texts)))])])


def _call(method: str, arguments: list[nodes.Expr]) -> nodes.Call:
    budget = nodes.Name(_BUDGET, "load")
    return nodes.Call(nodes.Getattr(budget, method, "load"), arguments, [], None, None)


def _check_numbers(operator: str, left: float, right: float) -> None:
    """Refuse arithmetic of which numbers grow without an end."""
    bits = [each.bit_length() if isinstance(each, int) else 0 for each in (left, right)]
    if operator == "**" and abs(right) > _LARGEST_POWER:
        raise SecurityError(f"a power of more than {_LARGEST_POWER}")
    if (operator == "*" and sum(bits) > _MOST_BITS) or (
        operator == "**" and bits[0] * abs(right) > _MOST_BITS
    ):
        raise SecurityError(f"a number of more than {_MOST_BITS} bits")


def _check_format(budget: RenderingBudget, text: str, values: object) -> None:
    """Use what ``text % values`` may make at most."""
    if _WIDE.search(text):
        raise SecurityError("a format of four digits")
    widths = sum(int(digits) for digits in re.findall(r"[0-9]{1,3}", text))
    budget.write(len(text) + widths + text.count("%") * budget.size(values))


def _check_filter_format(
    budget: RenderingBudget, value: object, *arguments: object, **named: object
) -> None:
    _check_format(budget, str(value), (arguments, named))


def _check_replace(
    budget: RenderingBudget, s: object, old: object, new: object, count: int | None = None
) -> None:
    text = str(s)
    budget.write(len(text) + text.count(str(old)) * len(str(new)))


def _check_join(
    budget: RenderingBudget, value: object, d: object = "", attribute: object = None
) -> None:
    count = len(value) if isinstance(value, Sized) else 0
    budget.write(budget.size(value) + count * len(str(d)))


def _check_slice(
    budget: RenderingBudget, value: object, slices: int, fill_with: object = None
) -> None:
    if slices > MOST_TURNS:
        raise SecurityError(f"more than {MOST_TURNS} slices")


def _check_batch(
    budget: RenderingBudget, value: object, linecount: int, fill_with: object = None
) -> None:
    if linecount > MOST_TURNS:
        raise SecurityError(f"batches of more than {MOST_TURNS}")


def _check_round(
    budget: RenderingBudget, value: object, precision: int = 0, method: str = "common"
) -> None:
    if abs(precision) > _LARGEST_POWER:
        raise SecurityError(f"a precision of more than {_LARGEST_POWER}")


def _check_sum(
    budget: RenderingBudget, iterable: object, attribute: object = None, start: object = 0
) -> None:
    if not isinstance(start, int | float):
        raise SecurityError(f"a sum that begins with {type(start).__name__}")


# By the filters' names, with the parameters that they have in Jinja.
_CHECKS: Final[Mapping[str, Callable[..., None]]] = {
    "format": _check_filter_format,
    "replace": _check_replace,
    "join": _check_join,
    "slice": _check_slice,
    "batch": _check_batch,
    "round": _check_round,
    "sum": _check_sum,
}


def _metered(
    function: Callable[..., object], check: Callable[..., None] | None
) -> Callable[..., object]:
    """A filter that draws on the budget for what it reads and makes, after its own check."""
    passed = _PassArg.from_obj(function)

    @pass_context
    def metered(context: Context, value: object, *arguments: object, **named: object) -> object:
        budget = context[_BUDGET]
        if check is not None:
            value = list(value) if isinstance(value, Iterator) else value
            check(budget, value, *arguments, **named)
        if isinstance(value, Sized) and not isinstance(value, str):
            budget.write(len(value))
        first: tuple[object, ...] = ()
        if passed is _PassArg.context:
            first = (context,)
        elif passed is _PassArg.eval_context:
            first = (context.eval_ctx,)
        elif passed is _PassArg.environment:
            first = (context.environment,)
        return budget.hold(function(*first, value, *arguments, **named))

    return metered
