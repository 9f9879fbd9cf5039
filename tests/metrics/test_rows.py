import numpy as np
import pyarrow as pa
import pytest
from tables_of_predictions import predictions_table

from raypipe.errors import AccountingError
from raypipe.labels import LabelSet
from raypipe.metrics.rows import read_groups, read_utterances

LABELS = LabelSet(("anger", "fear"))
IDS = ["b", "a", "c"]
VOTES = np.array([[2.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
PREDICTIONS = {
    "greedy": np.array([[0.9, 0.1], [np.nan, np.nan], [0.3, 0.7]]),
    "token": np.array([[0.6, 0.4], [0.5, 0.5], [0.2, 0.8]]),
}
TABLE = predictions_table(IDS, VOTES, PREDICTIONS, LABELS, speakers=["x", None, "x"])


def test_utterances_come_once_in_order_of_appearance() -> None:
    utterances = read_utterances(TABLE, LABELS)
    np.testing.assert_allclose(utterances.truth[:2], [[2 / 3, 1 / 3], [0.5, 0.5]])
    assert utterances.labelled.tolist() == [True, True, False]
    assert utterances.plurality.tolist() == [0, -1, -1]
    assert utterances.union.tolist() == [[True, True], [True, True], [False, False]]
    assert utterances.speakers == ["x", None, "x"]
    assert utterances.speaker_hashes[1] == 0
    assert utterances.speaker_hashes[0] == utterances.speaker_hashes[2] != 0


def test_groups_align_every_strategy_with_the_utterances() -> None:
    mixed = TABLE.take([5, 0, 3, 1, 4])  # c token, b greedy, a token, b token, c greedy
    (group,) = read_groups(mixed, LABELS)
    assert list(group.predictions) == ["greedy", "token"]
    np.testing.assert_allclose(group.predictions["token"], [[0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    assert group.present["greedy"].tolist() == [True, True, False]
    assert np.isnan(group.predictions["greedy"][2]).all()


def test_tables_of_many_chunks_read_as_one() -> None:
    chunked = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1, 2), TABLE.slice(3)])
    (whole,), (pieces,) = read_groups(TABLE, LABELS), read_groups(chunked, LABELS)
    for name in whole.predictions:
        np.testing.assert_array_equal(whole.predictions[name], pieces.predictions[name])


def test_votes_outside_the_label_set_match_nothing() -> None:
    at = TABLE.schema.get_field_index("votes_primary")
    unions = pa.array([["other", "fear"], None, [], ["other"], ["anger"], None])
    table = TABLE.set_column(at, "votes_primary", unions)
    first_of_each = [0, 2, 4]
    utterances = read_utterances(table.take(first_of_each), LABELS)
    assert utterances.union.tolist() == [[False, True], [False, False], [True, False]]


def test_a_table_of_an_earlier_version_says_how_it_can_be_read() -> None:
    old = TABLE.drop_columns(["votes_primary"])
    assert read_utterances(old, LABELS, "primary+secondary").union.any()
    with pytest.raises(AccountingError, match=r"votes_primary.*raypipe reaggregate"):
        read_utterances(old, LABELS)


def test_a_plurality_outside_the_label_set_is_refused() -> None:
    at = TABLE.schema.get_field_index("plurality")
    table = TABLE.set_column(at, "plurality", pa.array(["joy"] * 6))
    with pytest.raises(AccountingError, match="joy"):
        read_utterances(table, LABELS)
