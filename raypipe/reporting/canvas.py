"""Inline SVG figures that follow the page's light or dark colours.

Matplotlib draws with stand-in colours that are replaced by CSS variables afterwards, and leaves
text as text: it stays sharp, searchable, and set in the font of the page.
"""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# Stand-ins: no other colour of a figure may look like these.
INK, MUTED, RULE, PAPER, ACCENT = "#010101", "#020202", "#030303", "#040404", "#050505"
SERIES_COLOURS: Final = 7
SERIES: Final = tuple(f"#0600{index:02x}" for index in range(SERIES_COLOURS))
_VARIABLES: Final = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    PAPER: "--paper",
    ACCENT: "--accent",
    **{colour: f"--series-{index}" for index, colour in enumerate(SERIES)},
}
_SVG: Final = "{http://www.w3.org/2000/svg}"
_HREF: Final = "{http://www.w3.org/1999/xlink}href"
_FONT: Final = re.compile(r"font-family: [^;]*;? *")
_WIDTH_IN: Final = 4.5
_STYLE: Final[dict[RcKeyType, object]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "raypipe",
    # An id or a label with two dollar signs is not a formula.
    "text.parse_math": False,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "lines.solid_capstyle": "butt",
}


@contextmanager
def canvas(height_in: float, rows: tuple[int, ...] = (1,)) -> Iterator[tuple[Figure, Axes]]:
    """A figure of the page's width with panels below each other, and its first panel."""
    # Not pyplot: it keeps every figure alive and picks a back end for a screen.
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
        panels = figure.subplots(len(rows), 1, squeeze=False, height_ratios=rows)
        yield figure, panels[0, 0]


def quiet(axes: Axes, *sides: str) -> None:
    """Hide the lines at these sides of a panel."""
    for side in sides:
        axes.spines[side].set_visible(False)


def svg(figure: Figure, alt: str) -> Markup:
    """A finished figure as an element of the page; ``alt`` describes it."""
    stream = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with warnings.catch_warnings():
        # The page's font sets the text, so matplotlib's own may lack a glyph of a label.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(stream, format="svg", metadata=nothing)
    root = ElementTree.fromstring(stream.getvalue())
    for parent in root.iter():
        for child in list(parent):
            # Both would speak to the whole page: a licence statement and a style for "*".
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)
        _make_inline(parent)
    view = root.get("viewBox", "")
    root.attrib = {"role": "img", "aria-label": alt, "viewBox": view, "class": "chart"}
    # The serialiser escapes every text and attribute it writes.
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _make_inline(element: ElementTree.Element) -> None:
    element.tag = element.tag.removeprefix(_SVG)
    if element.tag == "g":
        # Names such as "axes_1" would repeat on a page with several figures.
        element.attrib.pop("id", None)
    if (target := element.attrib.pop(_HREF, None)) is not None:
        element.set("href", target)
    if (style := element.get("style")) is not None:
        for colour, variable in _VARIABLES.items():
            style = style.replace(colour, f"var({variable})")
        element.set("style", _FONT.sub("", style))
