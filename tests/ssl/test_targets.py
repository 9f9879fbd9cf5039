"""Targets are soft labels, unless a table has others."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from in_process import LABELS, utterance

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.records import LabelTable
from raypipe.ssl.targets import training_targets


def test_a_table_goes_before_the_soft_labels() -> None:
    rows = [utterance("u0"), utterance("u1"), dataclasses.replace(utterance("u2"), soft_label=None)]
    adjusted = (0.5, 0.5, 0.0, 0.0, 0.0, 0.0)
    own = training_targets(rows, LABELS)
    assert own[0].tolist() == list(rows[0].soft_label or ())
    assert np.isnan(own[2]).all()
    table = LabelTable("relabelled", {"u1": adjusted, "u2": adjusted}, LABELS, "f")
    mixed = training_targets(rows, LABELS, table)
    assert mixed[0].tolist() == own[0].tolist()
    assert mixed[1].tolist() == mixed[2].tolist() == list(adjusted)


def test_a_table_of_other_labels_is_refused() -> None:
    table = LabelTable("x", {}, LabelSet(("a", "b")))
    with pytest.raises(ConfigError, match="is of a, b"):
        training_targets([], LABELS, table)
