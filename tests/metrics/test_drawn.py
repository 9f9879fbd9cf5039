"""What replicates draw: weights by hand, and the intervals that are withheld."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, reduce
from itertools import pairwise

import numpy as np
import pytest
from tables_of_predictions import predictions_table, random_votes

from raypipe.errors import AccountingError
from raypipe.labels import LabelSet
from raypipe.metrics.bootstrap import FEW_SPEAKERS, id_hashes, intervals, replicate_weights
from raypipe.metrics.drawn import (
    NOT_INDEPENDENT,
    Units,
    drawn_hashes,
    with_ground,
    without_interval,
)
from raypipe.metrics.metric_rows import MetricRow
from raypipe.metrics.reduce import CorpusSummary, MetricState
from raypipe.metrics.registry import ANALYTIC, METRICS, OF_SPEAKERS_TO_COME, per_utterance
from raypipe.metrics.rows import read_utterances
from raypipe.metrics.significance import p_value
from raypipe.records import Drawn
from raypipe.store.metric_tables import metrics_table

LABELS = LabelSet(("anger", "fear", "neutral", "sadness"))
COUNT, REPLICATES, SEED = 420, 200, 3
IDS = [f"u{number:04d}" for number in range(COUNT)]
VOTES = random_votes(COUNT, 4, seed=2)
SOFT = VOTES / VOTES.sum(axis=1, keepdims=True)
NOISE = np.random.default_rng(5).dirichlet(np.ones(4), COUNT)
NEAR = 0.6 * SOFT + 0.4 * NOISE
SPEAKERS = tuple(None if number % 6 == 0 else f"s{number % 35}" for number in range(COUNT))


def state_of(
    speakers: tuple[str | None, ...], drawn: Drawn, columns: tuple[str, ...] = (), parts: int = 1
) -> MetricState:
    whole = predictions_table(IDS, VOTES, {"noise": NOISE, "near": NEAR}, LABELS, speakers=speakers)
    summary = CorpusSummary.from_table(whole, LABELS, columns)
    cuts = np.linspace(0, COUNT, parts + 1).astype(int) * 2
    states = [
        MetricState.from_table(
            whole.slice(start, end - start),
            summary.frame,
            LABELS,
            replicates=REPLICATES,
            seed=SEED,
            drawn=drawn,
        )
        for start, end in pairwise(cuts)
    ]
    return reduce(MetricState.merge, reversed(states))


@cache
def rows_of(
    speakers: tuple[str | None, ...], drawn: Drawn
) -> dict[tuple[str, str, str, str | None], MetricRow]:
    rows = state_of(speakers, drawn).finish()
    return {(row.strategy, row.slice, row.metric, row.versus): row for row in rows}


def test_speakers_are_drawn_whole_and_unknown_ones_alone() -> None:
    row = rows_of(SPEAKERS, "speakers")["near", "all", "js", None]
    units = [name or IDS[number] for number, name in enumerate(SPEAKERS)]
    drawn = replicate_weights(id_hashes(units), REPLICATES, SEED)[1:]
    js = per_utterance(SOFT, NEAR)["js"]
    low, high = intervals((drawn @ js / drawn.sum(axis=1))[None])[0]
    assert row.value == pytest.approx(js.mean(), abs=1e-8)
    assert (row.ci_low, row.ci_high) == (
        pytest.approx(low, abs=1e-8),
        pytest.approx(high, abs=1e-8),
    )
    assert row.ci_low != rows_of(SPEAKERS, "utterances")["near", "all", "js", None].ci_low


def test_a_p_value_has_as_many_degrees_of_freedom_as_there_are_speakers() -> None:
    speakers = tuple(f"s{number % 12}" for number in range(COUNT))
    row = rows_of(speakers, "speakers")["near", "all", "js", "noise"]
    drawn = replicate_weights(id_hashes(speakers), REPLICATES, SEED)
    gap = per_utterance(SOFT, NEAR)["js"] - per_utterance(SOFT, NOISE)["js"]
    expected = p_value(drawn @ gap / drawn.sum(axis=1), 12)
    assert row.p_value is not None
    assert np.log(row.p_value) == pytest.approx(np.log(expected), rel=1e-4)


def test_values_are_the_same_whatever_is_drawn() -> None:
    one, other = (rows_of(SPEAKERS, drawn) for drawn in ("utterances", "speakers"))
    assert one.keys() == other.keys()
    for key, row in one.items():
        assert (row.value, row.n, row.n_invalid) == (
            other[key].value,
            other[key].n,
            other[key].n_invalid,
        )


def test_any_cut_gives_the_same_rows() -> None:
    tables = [
        metrics_table(state_of(SPEAKERS, "speakers", parts=parts).finish(), None)
        for parts in (1, 4)
    ]
    assert tables[0].equals(tables[1])


def test_intervals_that_take_utterances_for_independent_are_withheld() -> None:
    rows = rows_of(SPEAKERS, "speakers")
    of_all = [row for row in rows.values() if row.slice == "all"]
    analytic = [row for row in of_all if row.metric in ANALYTIC]
    assert len(analytic) > 10
    for row in analytic:
        assert row.ci_low is None
    assert rows["near", "all", "js.median", None].note == NOT_INDEPENDENT
    assert rows["near", "all", "ece", None].note == NOT_INDEPENDENT
    assert rows_of(SPEAKERS, "utterances")["near", "all", "ece", None].ci_low is not None


@pytest.mark.parametrize("speakers", [FEW_SPEAKERS - 1, FEW_SPEAKERS])
def test_few_speakers_give_no_interval(speakers: int) -> None:
    names = tuple(f"s{number % speakers}" for number in range(COUNT))
    row = rows_of(names, "speakers")["near", "all", "js", None]
    if speakers < FEW_SPEAKERS:
        assert (row.ci_low, row.ci_high) == (None, None)
        assert row.note == "no interval: 9 speakers, 10 are needed"
    else:
        assert row.ci_low is not None


def test_where_every_speaker_has_one_utterance_nothing_is_withheld() -> None:
    names = tuple(f"s{number}" for number in range(COUNT))
    rows = rows_of(names, "speakers")
    assert rows["near", "all", "js.median", None].ci_low is not None
    assert rows["near", "all", "ece", None].ci_low is not None


def row(metric: str) -> MetricRow:
    return MetricRow("m", "p", "s", "all", metric, None, 0.9, 0.8, 0.95, 400, 0)


def test_sets_that_were_fitted_across_speakers_have_intervals_by_speakers_only() -> None:
    assert {"set_coverage", "set_size"} == OF_SPEAKERS_TO_COME
    assert METRICS.keys() >= OF_SPEAKERS_TO_COME
    many = Units(id_hashes([f"s{number}" for number in range(40)]), 0)
    mean, withheld = with_ground([row("js"), row("set_coverage")], None, in_groups=True)
    assert mean == row("js")
    assert (withheld.ci_low, withheld.ci_high) == (None, None)
    assert "metrics.draw: speakers" in (withheld.note or "")
    assert with_ground([row("set_coverage")], many, in_groups=True) == [row("set_coverage")]
    assert with_ground([row("set_coverage")], None, in_groups=False) == [row("set_coverage")]


def test_a_note_is_not_overwritten_and_a_missing_interval_needs_no_reason() -> None:
    noted = replace(row("ece"), note="told")
    assert without_interval(noted, "why").note == "told"
    none = replace(row("ece"), ci_low=None, ci_high=None)
    assert without_interval(none, "why") == none


def test_units_of_parts_add_up() -> None:
    table = predictions_table(IDS, VOTES, {"near": NEAR}, LABELS, speakers=SPEAKERS)
    utterances = read_utterances(table, LABELS)
    halves = [Units.of(utterances, rows) for rows in np.array_split(np.arange(COUNT), 2)]
    whole = Units.of(utterances, np.arange(COUNT))
    assert len(halves[0].merge(halves[1])) == len(whole) == 35 + 70
    assert halves[0].merge(None) == halves[0]
    assert np.unique(drawn_hashes(utterances, "speakers")).size == len(whole)
    assert np.array_equal(drawn_hashes(utterances, "utterances"), utterances.hashes)


def test_states_that_drew_differently_do_not_add_up() -> None:
    with pytest.raises(AccountingError, match="do not add up"):
        state_of(SPEAKERS, "speakers").merge(state_of(SPEAKERS, "utterances"))
