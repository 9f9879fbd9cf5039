"""The turns of IEMOCAP's dialogues: speakers, words and previous turns."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, replace

from raypipe.corpora.clips import FileTree, failure
from raypipe.corpora.fields import BadLineError, shown
from raypipe.corpora.lines import checked_text, open_text
from raypipe.errors import CorpusError
from raypipe.records import Failure

_TURN = re.compile(r"(?P<name>\S+_[FM]\d{3})\s+\[(?P<start>[\d.]+)\s*-\s*[\d.]+\]:\s*(?P<text>.*)")
_BREATH = re.compile(r"_[FM]XX\d+$")


@dataclass(frozen=True, slots=True)
class _Turn:
    name: str
    start_s: float
    text: str


def seconds(text: str) -> float:
    """A time.

    Raises:
        BadLineError: ``bad_number``.
    """
    try:
        return float(text)
    except ValueError as error:
        raise BadLineError("bad_number", f"{shown(text)} is not a time") from error


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The turns of a dialogue in the order of their beginnings."""

    turns: tuple[_Turn, ...] = ()

    def text(self, name: str) -> str | None:
        """A turn's words, None if there is no such turn."""
        return next((turn.text for turn in self.turns if turn.name == name), None)

    def before(self, start_s: float, name: str, count: int) -> tuple[str, ...]:
        """The last turns that began earlier, with the letter of their speaker."""
        end = bisect_left(self.turns, start_s, key=lambda turn: turn.start_s)
        earlier = [turn for turn in self.turns[:end] if turn.name != name]
        return tuple(
            f"{turn.name.rpartition('_')[2][0]}: {turn.text}"
            for turn in earlier[len(earlier) - count if count < len(earlier) else 0 :]
        )


class Transcripts:
    """The transcripts of one dialogue at a time; empty for a corpus without them."""

    def __init__(self, tree: FileTree) -> None:
        self._tree = tree
        self._files = tree.texts("transcriptions")
        self._name: str | None = None
        self._dialogue = Dialogue()
        self._faults: list[Failure] = []

    def take_faults(self) -> list[Failure]:
        """Lines of transcripts that could not be used, each returned once."""
        faults, self._faults = self._faults, []
        return faults

    def of(self, dialogue: str) -> Dialogue:
        """The turns of a dialogue; the last one asked for is kept."""
        if dialogue != self._name:
            file = self._files.get(dialogue)
            self._name = dialogue
            self._dialogue = Dialogue() if file is None else self._read(file)
        return self._dialogue

    def _read(self, file: str) -> Dialogue:
        turns: dict[str, _Turn] = {}
        try:
            with open_text(self._tree.source, file, "latin-1") as lines:
                for number, line in enumerate(lines, start=1):
                    self._add(turns, file, number, line.strip())
        except CorpusError as error:
            self._faults.append(Failure(None, "ingest", "bad_file", str(error)))
        return Dialogue(tuple(sorted(turns.values(), key=lambda turn: turn.start_s)))

    def _add(self, turns: dict[str, _Turn], file: str, number: int, line: str) -> None:
        match = _TURN.fullmatch(line)
        # Breaths and laughs between turns have ids of their own and no evaluation; asides, which
        # begin with M: or F:, have no id.
        if _BREATH.search(line.partition(" ")[0]) or (match is None and not line.startswith("Ses")):
            return
        try:
            if match is None:
                raise BadLineError("bad_line", f"not a turn: {shown(line)}")
            name, start_s = match["name"], seconds(match["start"])
            text = checked_text(match["text"], "transcript")
        except BadLineError as error:
            self._faults.append(failure(file, number, None, error.reason, str(error)))
            return
        if name in turns:  # a turn in two pieces
            text = f"{turns[name].text} {text}".strip()
            turns[name] = replace(turns[name], text=text)
        else:
            turns[name] = _Turn(name, start_s, text)
