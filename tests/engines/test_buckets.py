import pytest

from raypipe.engines.buckets import similar_lengths


@pytest.mark.parametrize("budget", [1, 40, 10_000])
def test_every_row_is_in_one_group_of_similar_lengths_within_the_budget(budget):
    lengths = [7, 30, 29, 3, 24, 23, 30, 5, 12, 1]
    groups = list(similar_lengths(lengths, budget))
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    for group in groups:
        of_group = [lengths[row] for row in group]
        assert min(of_group) >= 0.8 * max(of_group)
        assert len(group) == 1 or len(group) * max(of_group) <= budget


def test_the_longest_come_first_and_equals_keep_their_order():
    assert list(similar_lengths([5, 9, 5, 9, 5], 100)) == [[1, 3], [0, 2, 4]]


def test_nothing_makes_no_group():
    assert list(similar_lengths([], 10)) == []
