"""A newcomer who follows a README's example in a copy of the package and its tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_IGNORED = shutil.ignore_patterns("__pycache__", "checkpoint", "checkpoint_words", "data")


def example(page: Path, name: str) -> str:
    """The first block of Python below the mention of a file in code quotes."""
    text = page.read_text(encoding="utf-8")
    shown = re.search(r"^```python\n(.*?)^```$", text[text.index(f"`{name}`") :], re.M | re.S)
    assert shown is not None, name
    return shown[1]


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the package and some of its tests."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, *rooms: str) -> Copy:
        for room in ("raypipe", *rooms):
            shutil.copytree(ROOT / room, folder / room, ignore=_IGNORED)
        for checkpoint in ("raypipe/tiny_alm/checkpoint", "raypipe/tiny_alm/checkpoint_words"):
            (folder / checkpoint).symlink_to(ROOT / checkpoint)
        for file in (ROOT / "tests").glob("*.py"):
            if not file.name.startswith("test_"):
                shutil.copy(file, folder / "tests")
        shutil.copy(ROOT / "pyproject.toml", folder)
        return cls(folder)

    def add(self, page: str, *names: str) -> None:
        """Write files as the page shows them."""
        for name in names:
            (self.folder / name).write_text(example(ROOT / page, name))

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A Python that takes the copy for the package."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(self.folder),
                "PYTHONDONTWRITEBYTECODE": "1",
                "OMP_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def pytest(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output of the copy's own tests."""
        options = ("-q", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib")
        done = self.python("-m", "pytest", *options, *arguments)
        return done.returncode, done.stdout + done.stderr

    def refusal_with(self, name: str, old: str, new: str) -> str:
        """What importing the package says when a file's only ``old`` is ``new``."""
        file = self.folder / name
        text = file.read_text()
        assert text.count(old) == 1
        file.write_text(text.replace(old, new))
        done = self.python("-c", "import raypipe.config")
        assert done.returncode == 1
        return done.stderr
