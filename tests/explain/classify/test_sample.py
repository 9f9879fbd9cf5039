import pytest
from scipy.stats import binomtest

from raypipe.errors import ConfigError
from raypipe.explain.classify.sample import (
    SampleRow,
    agreement,
    draw_sample,
    read_sample,
    sample_csv,
)

TEXTS = {("a", "open", f"u{k:03d}"): f"text {k % 40}" for k in range(300)}


def test_distinct_texts_are_drawn_first_and_always_the_same():
    rows = draw_sample(TEXTS, 40, 0)
    assert len({row.text for row in rows}) == 40
    assert rows == draw_sample(TEXTS, 40, 0)
    assert rows != draw_sample(TEXTS, 40, 1)
    assert len(draw_sample(TEXTS, 1000, 0)) == 300


def test_a_file_goes_round():
    rows = draw_sample(TEXTS, 5, 0)
    assert read_sample(sample_csv(rows), "sample.csv", ()) == rows
    with pytest.raises(ConfigError, match=r"line 2: label 'x' is none of anger"):
        read_sample(sample_csv([SampleRow(("a", "open", "u"), "t", "x")]), "sample.csv", ("anger",))
    with pytest.raises(ConfigError, match="first line"):
        read_sample("a,b\n", "sample.csv", ())


def test_agreement_is_counted_with_wilsons_interval():
    rows = [SampleRow(("a", "open", f"u{k}"), "", "anger" if k < 8 else "") for k in range(10)]
    labels = {row.key: "anger" if k else "other" for k, row in enumerate(rows)}
    by = {row.key: "parser" if k < 4 else "word_map" for k, row in enumerate(rows)}
    whole, parser, word_map = agreement(rows, labels, by)
    assert (whole.decided_by, whole.n, whole.right) == ("all", 8, 7)
    ends = binomtest(7, 8).proportion_ci(method="wilson")
    assert (whole.low, whole.high) == (pytest.approx(ends.low), pytest.approx(ends.high))
    assert (parser.right, parser.n, word_map.right, word_map.n) == (3, 4, 4, 4)
    assert agreement([], labels, by) == []
