"""Fenced blocks of the READMEs, with the comments that say what a block is.

Directly above a block may stand ``<!-- not run: reason -->`` for what a test machine cannot do, or
``<!-- file: name -->`` for a block that later blocks of the same README read as a file. Anywhere
may stand ``<!-- example: path -->`` for a path that the text names and the repository has not got.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Model cards, not pages about folders.
_CARDS = (
    "raypipe/tiny_alm/checkpoint/README.md",
    "raypipe/tiny_alm/checkpoint_words/README.md",
)
_TOPS = ("cluster", "jobs", "raypipe", "tests")

_FENCE = re.compile(r"```(\w*)\s*")
_MARK = re.compile(r"<!-- (not run|file): (.+) -->")
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        page: path of its README in the repository.
        line: of its fence, counted from 1.
        language: as after the fence; empty for shell commands.
        text: its content.
        not_run: why it is not executed; None if it is.
        file: name under which later blocks read it; None for no file.
    """

    page: str
    line: int
    language: str
    text: str
    not_run: str | None
    file: str | None

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> list[list[str]]:
        """The words of each line of shell commands, ``&&`` and comments taken apart."""
        lines = self.text.replace("\\\n", " ").splitlines()
        words = [shlex.split(line, comments=True) for line in lines]
        commands: list[list[str]] = []
        for line in words:
            start = 0
            for end in [*(at for at, word in enumerate(line) if word == "&&"), len(line)]:
                if line[start:end]:
                    commands.append(line[start:end])
                start = end + 1
        return commands


def pages() -> list[str]:
    """Paths of all READMEs in the repository, the front page first."""
    found = [path for top in _TOPS for path in (ROOT / top).rglob("README.md")]
    names = sorted(path.relative_to(ROOT).as_posix() for path in found)
    return ["README.md", *(name for name in names if name not in _CARDS)]


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    result: list[Block] = []
    inside: list[str] | None = None
    language, start, marks = "", 0, {}
    for number, line in enumerate(read(page).splitlines(), start=1):
        fence = _FENCE.fullmatch(line)
        if inside is None and fence is not None:
            inside, language, start = [], fence[1], number
        elif inside is not None and line == "```":
            text = "".join(f"{row}\n" for row in inside)
            result.append(
                Block(page, start, language, text, marks.get("not run"), marks.get("file"))
            )
            inside, marks = None, {}
        elif inside is not None:
            inside.append(line)
        elif mark := _MARK.fullmatch(line):
            marks[mark[1]] = mark[2]
        else:
            marks = {}
    assert inside is None, f"{page}:{start}: the block does not end"
    return result


def prose(page: str) -> str:
    """A page without its blocks."""
    return re.sub(r"^```.*?^```$", "", read(page), flags=re.MULTILINE | re.DOTALL)


def inline_code(page: str) -> list[str]:
    """Texts between backticks in the prose of a page."""
    return _INLINE.findall(prose(page))


def links(page: str) -> list[str]:
    """Files that the prose of a page links to, web addresses aside."""
    targets = [target.partition("#")[0] for target in _LINK.findall(prose(page))]
    return [target for target in targets if target and ":" not in target]


def examples(page: str) -> list[str]:
    """Paths of files that a page shows how to add: ``<!-- example: path -->``."""
    return re.findall(r"<!-- example: (\S+) -->", read(page))
