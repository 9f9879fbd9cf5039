import itertools

import numpy as np
import pytest

from raypipe.metrics.bins import count_bin, count_edges, equal_count, equal_width
from raypipe.metrics.bootstrap import id_hashes

RNG = np.random.default_rng(0)
IDS = [f"clip-{number}" for number in range(1003)]
ENTROPY = RNG.choice([0.0, 0.0, 0.72, 0.97, 1.37, 1.52], size=1003)  # few annotators: many ties


def test_counts_are_equal_despite_ties_and_bins_ascend() -> None:
    index = equal_count(ENTROPY, IDS)
    counts = np.bincount(index, minlength=5)
    assert counts.max() - counts.min() <= 1
    ends = [(ENTROPY[index == place].min(), ENTROPY[index == place].max()) for place in range(5)]
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(ends))


def test_the_order_of_rows_does_not_matter() -> None:
    index = equal_count(ENTROPY, IDS)
    order = RNG.permutation(1003)
    shuffled = equal_count(ENTROPY[order], [IDS[place] for place in order])
    np.testing.assert_array_equal(shuffled, index[order])


def test_edges_from_all_sort_any_part_alike() -> None:
    keys = id_hashes(IDS)
    edges = count_edges(ENTROPY, keys)
    index = equal_count(ENTROPY, IDS)
    part = slice(100, 250)
    np.testing.assert_array_equal(count_bin(ENTROPY[part], keys[part], edges), index[part])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_utterances_than_bins_are_no_error(count: int) -> None:
    index = equal_count(ENTROPY[:count], IDS[:count])
    assert index.shape == (count,)
    assert ((index >= 0) & (index < 5)).all()


def test_equal_width_bins_span_the_possible_entropies() -> None:
    entropy = np.linspace(0.0, np.log2(6), 1001)
    index = equal_width(entropy, label_count=6)
    reference = np.clip(np.digitize(entropy, np.linspace(0.0, np.log2(6), 6)) - 1, 0, 4)
    assert (index == reference).mean() > 0.99
    assert (index[0], index[-1]) == (0, 4)
    assert equal_width(np.array([np.log2(6) + 1e-15]), label_count=6)[0] == 4
