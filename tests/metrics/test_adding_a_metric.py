"""The README's example, followed to the letter in a copy: one source file, its test, the list."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import test_catalogue
from answers import LABELS, some_answers, table_of
from following_a_readme import ROOT, Copy, example

from raypipe.errors import RegistryError
from raypipe.metrics import METRICS, catalogue
from raypipe.metrics.metric import Metric
from raypipe.metrics.reduce import CorpusSummary, MetricState
from raypipe.metrics.registry import collect
from raypipe.store.schemas import PREDICTIONS

PAGE = "raypipe/metrics/README.md"
SOURCE = "raypipe/metrics/catalogue/total_variation.py"
TEST = "tests/metrics/catalogue/test_total_variation.py"
TEXT = example(ROOT / PAGE, SOURCE)
ROWS = """
import json
import sys
sys.path[:0] = ["tests/metrics", "tests"]
from test_adding_a_metric import shown
print(json.dumps(shown()))
"""


def shown() -> dict[str, Any]:
    """Metrics, columns of ``predictions/`` and rows of ``metrics/`` as the package has them."""
    table = table_of(some_answers())
    summary = CorpusSummary.from_table(table, LABELS)
    state = MetricState.from_table(table, summary.frame, LABELS, replicates=5)
    rows = [row for row in state.finish() if row.strategy == "w_bon" and row.slice == "all"]
    return {
        "names": list(METRICS),
        "columns": PREDICTIONS.names,
        "rows": {f"{row.metric} {row.versus}": row.value for row in rows},
    }


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """The package and the tests of metrics, with the README's two files added."""
    made = Copy.make(tmp_path, "tests/metrics")
    made.add(PAGE, SOURCE, TEST)
    return made


def check(copy: Copy, chosen: str) -> tuple[int, str]:
    """What the README says to run, as far as it matters to the new metric."""
    others = ("test_catalogue.py", "test_listing.py", "test_distribution.py", "test_reduce.py")
    files = (*(f"tests/metrics/{name}" for name in others), SOURCE)
    return copy.pytest("--doctest-modules", "-k", chosen, *files)


def test_the_example_is_everywhere(copy: Copy) -> None:
    written = copy.python("-m", "raypipe.metrics.listing")
    assert written.returncode == 0, written.stderr
    assert "| `tvd` | TVD |" in (copy.folder / PAGE).read_text(encoding="utf-8")
    code, output = check(copy, "tvd or readme or column or total_variation or per_utterance")
    assert code == 0, output

    result = json.loads(copy.python("-c", ROWS).stdout)
    for names in (result["names"], result["columns"]):
        assert names.index("bd") < names.index("tvd") < names.index("kl")
    for row in ("tvd", "tvd.invalid_as_uniform", "tvd.median", "tvd_skill"):
        assert result["rows"][f"{row} None"] is not None
    assert result["rows"]["tvd prior"] is not None
    # No other figure has moved.
    others = {row: value for row, value in result["rows"].items() if "tvd" not in row}
    assert others == shown()["rows"]


def test_a_forgotten_test_and_list_are_asked_for(copy: Copy) -> None:
    (copy.folder / TEST).unlink()
    code, output = check(copy, "has_an_oracle or present_metrics")
    assert code == 1
    assert "has no test_total_variation.py in" in output
    assert "write it again: python -m raypipe.metrics.listing" in output


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
        return collect(folder.name)["tvd"]

    yield collected
    forget()


def changed(right: str, wrong: str) -> str:
    assert right in TEXT
    return TEXT.replace(right, wrong)


PARTS = ["name", "title", "description", "range", "better", "undefined", "source", "section"]


@pytest.mark.parametrize("part", [*PARTS, "rank", "function"])
def test_a_forgotten_part_stops_the_import(add: Add, part: str) -> None:
    [line] = re.findall(rf"^        {part}=.*\n", TEXT, flags=re.M)
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
    with pytest.raises(RegistryError, match=message):
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
    check_metric(add(TEXT), *arguments)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check_metric(add(changed(right, wrong)), *arguments)
