"""The README's example, followed to the letter in a copy: one source file, its test, the list."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import test_catalogue
from answers import LABELS, some_answers, table_of

from raypipe.metrics import METRICS, catalogue
from raypipe.metrics.listing import README
from raypipe.metrics.metric import Metric
from raypipe.metrics.reduce import CorpusSummary, MetricState
from raypipe.metrics.registry import collect
from raypipe.store.schemas import PREDICTIONS

ROOT = Path(__file__).parents[2]
SOURCE = Path("raypipe/metrics/catalogue/total_variation.py")
TEST = Path("tests/metrics/catalogue/test_total_variation.py")
ROWS = """
import json
from test_adding_a_metric import shown
print(json.dumps(shown()))
"""


def shown() -> dict[str, Any]:
    """Metrics, columns of ``predictions/`` and rows of ``metrics/`` as the package has them."""
    table = table_of(some_answers())
    summary = CorpusSummary.from_table(table, LABELS)
    state = MetricState.from_table(table, summary, LABELS, replicates=5)
    rows = [row for row in state.finish() if row.strategy == "w_bon" and row.slice == "all"]
    return {
        "names": list(METRICS),
        "columns": PREDICTIONS.names,
        "rows": {f"{row.metric} {row.versus}": row.value for row in rows},
    }


def example(after: Path) -> str:
    """The README's first block of Python below the mention of a file."""
    text = README.read_text(encoding="utf-8")
    found = re.search(r"^```python\n(.*?)^```$", text[text.index(str(after)) :], flags=re.M | re.S)
    assert found is not None
    return found[1]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and the tests of metrics, with the README's two files added."""
    ignored = shutil.ignore_patterns("__pycache__", "checkpoint")
    shutil.copytree(ROOT / "raypipe", tmp_path / "raypipe", ignore=ignored)
    shutil.copytree(ROOT / "tests/metrics", tmp_path / "tests/metrics", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / SOURCE).write_text(example(SOURCE))
    (tmp_path / TEST).write_text(example(TEST))
    return tmp_path


def run(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(str(path) for path in (copy, copy / "tests/metrics"))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def check(copy: Path, chosen: str) -> subprocess.CompletedProcess[str]:
    """What the README says to run, as far as it matters to the new metric."""
    files = ("tests/metrics/test_catalogue.py", "tests/metrics/test_listing.py", str(SOURCE))
    return run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, *files)


def test_the_example_is_everywhere(copy: Path) -> None:
    written = run(copy, "-m", "raypipe.metrics.listing")
    assert written.returncode == 0, written.stderr
    assert "| `tvd` | TVD |" in (copy / "raypipe/metrics/README.md").read_text(encoding="utf-8")
    checked = check(copy, "tvd or readme or columns or total_variation")
    assert checked.returncode == 0, checked.stdout

    result = json.loads(run(copy, "-c", ROWS).stdout)
    assert result["names"][:6] == ["js", "js_distance", "bc", "bd", "tvd", "kl"]
    place = result["columns"].index("tvd")
    assert result["columns"][place - 1 : place + 2] == ["bd", "tvd", "kl"]
    for row in ("tvd", "tvd.invalid_as_uniform", "tvd.median", "tvd_skill"):
        assert result["rows"][f"{row} None"] is not None
    assert result["rows"]["tvd prior"] is not None
    # No other figure has moved.
    others = {row: value for row, value in result["rows"].items() if "tvd" not in row}
    assert others == shown()["rows"]


def test_a_forgotten_test_and_list_are_asked_for(copy: Path) -> None:
    (copy / TEST).unlink()
    checked = check(copy, "has_an_oracle or present_metrics")
    assert checked.returncode == 1
    assert "has no test_total_variation.py in" in checked.stdout
    assert "write it again: python -m raypipe.metrics.listing" in checked.stdout


# --- mistakes, beside the real metrics in this process ------------------------------------------

Add = Callable[[str], Metric]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Scan the real folder with one more module of the given text; its metric."""
    folder = tmp_path / "catalogue_with_one_more"
    folder.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two versions may share a second

    def forget() -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == folder.name]:
            del sys.modules[name]

    def collected(text: str) -> Metric:
        forget()
        (folder / "__init__.py").write_text(f"__path__ += {list(catalogue.__path__)!r}")
        (folder / "total_variation.py").write_text(text)
        importlib.invalidate_caches()
        return collect(importlib.import_module(folder.name))["tvd"]

    yield collected
    forget()


def changed(right: str, wrong: str) -> str:
    text = example(SOURCE)
    assert right in text
    return text.replace(right, wrong)


PARTS = ["name", "title", "description", "range", "better", "undefined", "source", "section"]


@pytest.mark.parametrize("part", [*PARTS, "rank", "function"])
def test_a_forgotten_part_stops_the_import(add: Add, part: str) -> None:
    [line] = re.findall(rf"^        {part}=.*\n", example(SOURCE), flags=re.M)
    with pytest.raises(TypeError, match=f"missing .*'{part}'"):
        add(changed(line, ""))


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("rank=45", "rank=30", "two metrics, .* have rank 30 in section DISTRIBUTION"),
        ('name="tvd"', 'name="kl"', "two metrics, 'kl' and 'kl', have name kl"),
        ("METRICS = (", "MINE = (", "total_variation names no metric"),
    ],
)
def test_a_clash_stops_the_import(add: Add, right: str, wrong: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        add(changed(right, wrong))


@pytest.mark.parametrize(
    ("right", "wrong", "test"),
    [
        ('better="lower"', 'better="higher"', "test_an_equal_prediction_is_the_best"),
        ("range=(0.0, 1.0)", "range=(0.0, 0.5)", "test_values_keep_their_range"),
        ("    check_shapes(truth, prediction)\n", "", "test_misshaped_rows_are_refused"),
        (
            "np.abs(truth - prediction)",
            "np.square(np.cumsum(truth - prediction, axis=1))",
            "test_the_order_of_labels_matters_only_where_declared",
        ),
        (
            "np.abs(truth - prediction)",
            "np.nan_to_num(np.abs(truth - prediction))",
            "test_rows_stand_alone_and_nan_stays_nan",
        ),
    ],
)
def test_a_wrong_part_fails_a_test(add: Add, right: str, wrong: str, test: str) -> None:
    check_metric = getattr(test_catalogue, test)
    arguments = (4,) if "label_count" in inspect.signature(check_metric).parameters else ()
    check_metric(add(example(SOURCE)), *arguments)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check_metric(add(changed(right, wrong)), *arguments)
