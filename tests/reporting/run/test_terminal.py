import io
import subprocess
import sys

import pyarrow as pa
import pytest
from rich.console import Console

from raypipe.reporting.errors import ErrorTally, error_table
from raypipe.reporting.run.terminal import summary_table


def _printed(table, width=120):
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(table)
    return stream.getvalue()


def test_summary_lists_strategies_then_baselines(made_up_run):
    text = _printed(summary_table(made_up_run.metrics))
    order = [text.index(f" {name} ") for name in ("greedy", "token_softmax", "w_bon", "prior")]
    assert order == sorted(order)
    first, second = text[text.index("0.095") :].splitlines()[:2]
    assert "±.007" in second
    assert "±" not in first
    assert "uniform" in text


@pytest.mark.parametrize("width", [80, 100])
def test_no_value_is_cut_on_a_narrow_terminal(made_up_run, width):
    text = _printed(summary_table(made_up_run.metrics), width)
    wide = _printed(summary_table(made_up_run.metrics), 200)
    assert "…" not in text
    assert text.split()[:-20] == wide.split()[:-20]  # all but the caption, which may wrap
    assert "Invalid" in text
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", [80, 120])
def test_a_grid_fits_with_its_costs(grid, width):
    text = _printed(summary_table(grid), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    lines = [line.split() for line in text.splitlines()]
    greedy = [line for line in lines if line[:1] == ["greedy"]]
    assert [line[1] for line in greedy] == ["0.250", "0.200", "0.320", "0.300"]
    assert {tuple(line[-2:]) for line in greedy} == {("680", "0")}
    assert [line[-2:] for line in lines if line[:1] == ["alm_v"]] == [["13,300", "4.2"]] * 4
    assert sum(line[:1] == ["prior"] for line in lines) == 1
    assert "escalated 88" in text


def test_every_model_and_prompt_is_named_once_above_its_strategies(grid):
    names = [line.strip() for line in _printed(summary_table(grid), 120).splitlines()]
    heads = [name for name in names if name in ("Qwen2-Audio-7B-Instruct", "tiny-alm")]
    assert heads == ["Qwen2-Audio-7B-Instruct"] * 2 + ["tiny-alm"] * 2
    assert names.count("references") == 1


def test_the_table_says_what_is_not_ranked(metric_rows):
    js = {"metric": "js", "ci_low": 0.2, "ci_high": 0.4}
    rows = [
        {"strategy": "greedy", "value": 0.32, "n": 51},
        {"strategy": "calibrate", "value": 0.31, "n": 24},
    ]
    text = _printed(summary_table(metric_rows(*(row | js for row in rows))), 200)
    assert "not ranked, on 24 of 51 utterances: calibrate" in text


def test_one_model_and_prompt_need_no_heading(made_up_run):
    assert "tiny-alm" not in _printed(summary_table(made_up_run.metrics))


def test_summary_of_a_slice_names_it(made_up_run):
    assert "plurality anger" in _printed(summary_table(made_up_run.metrics, "label=anger"))


def test_hostile_names_are_neither_markup_nor_escape_codes(metric_rows):
    table = metric_rows({"strategy": "\x1b]0;x\x07[bold]a\x1b[2J\r", "metric": "js", "value": 0.1})
    text = _printed(summary_table(table))
    assert "[bold]a" in text
    assert "\x1b" not in text
    assert "\r" not in text


def test_errors_show_one_example_each(made_up_run):
    text = _printed(error_table(ErrorTally.of(made_up_run.errors)))
    assert "1091_TIE_0: 12 of 96,000 samples could be decoded" in text
    assert "1091_TIE_1" not in text


def test_hostile_messages_are_neither_markup_nor_escape_codes():
    row = {"stage": "[red]s", "error_type": "t", "message": "\x1b[31mm[/]\x9b2J", "utterances": 1}
    text = _printed(error_table(ErrorTally.of(pa.Table.from_pylist([row]))))
    assert "[red]s" in text
    assert "m[/]" in text
    assert "\x1b" not in text
    assert "\x9b" not in text


def test_no_errors_is_a_table_that_says_none(made_up_run):
    assert "none" in _printed(error_table(ErrorTally()))


def test_the_terminal_table_loads_no_plotting_library():
    code = "import sys, raypipe.reporting.run.terminal; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_long_names_of_a_sweep_stay_apart(metric_rows):
    names = [f"w_bon[beams=3of5,length_normalised=false,tau={tau}]" for tau in ("0.5", "0.25")]
    values = zip(names, (0.2, 0.25), strict=True)
    rows = metric_rows(*({"strategy": n, "metric": "js", "value": js} for n, js in values))
    text = _printed(summary_table(rows), 80)
    assert "…" not in text
    assert "tau=0.5]" in text
    assert "tau=0.25]" in text


def test_the_caption_says_how_many_predictions_tie(made_up_run):
    metrics = made_up_run.metrics
    [row] = [
        row
        for row in metrics.to_pylist()
        if (row["strategy"], row["metric"], row["slice"]) == ("greedy", "js", "all")
        and row["versus"] is None
    ]
    assert "tie" not in _printed(summary_table(metrics))
    tied = [
        {**row, "metric": "prediction_ties", "strategy": name, "n": 60, "value": value}
        | {"ci_low": None, "ci_high": None}
        for name, value in [("greedy", 6.0), ("bon", 3.0), ("token", 0.0), ("uniform", 60.0)]
    ]
    both = pa.concat_tables([metrics, pa.Table.from_pylist(tied, schema=metrics.schema)])
    words = " ".join(_printed(summary_table(both), 200).split())
    assert "labels that tie in a prediction share its credit: 10 % of greedy, 5 % of bon" in words


def test_the_caption_says_what_a_value_s_note_says(made_up_run):
    metrics = made_up_run.metrics
    words = "fear is the label of 3 utterances: [/x]"
    notes = [words if name == "macro_f1" else None for name in metrics["metric"].to_pylist()]
    noted = metrics.append_column("note", pa.array(notes, pa.string()))
    assert f"Macro-F1: {words}" in " ".join(_printed(summary_table(noted), 200).split())
