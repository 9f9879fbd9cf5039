"""The border between data and a terminal: nothing that is printed acts on it."""

from __future__ import annotations

from collections.abc import Iterable

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from raypipe.reporting.text import visible_lines


class Console(rich.console.Console):
    """Rich's console, which shows control characters in what it prints as escapes.

    Colours and the movements of a progress bar are Rich's own: they are no part of any text.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Segments of a renderable, their texts safe to print."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            if control or text.isprintable():
                yield segment
            else:
                yield Segment(visible_lines(text), style)
