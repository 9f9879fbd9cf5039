"""Schemas of the tables that only a heads job writes; see :mod:`raypipe.store.schemas`."""

from __future__ import annotations

import pyarrow as pa

from raypipe.store.schemas import LABEL_NAMES

_SHARES = pa.list_(pa.float64())

_OTHER_SCORES = pa.struct(
    [
        ("labels", pa.string()),  # name of the label table
        ("threshold_macro_f1", pa.float64()),
        ("batch_threshold_macro_f1", pa.float64()),
    ]
)

HEADS = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("strategy", pa.string(), nullable=False),
        pa.field("fold", pa.int32(), nullable=False),
        ("seed", pa.int64()),
        ("train", pa.int64()),  # utterances
        ("dev", pa.int64()),
        ("test", pa.int64()),
        ("best_epoch", pa.int32()),  # from 1
        ("train_losses", pa.list_(pa.float64())),  # by epoch
        ("dev_losses", pa.list_(pa.float64())),
        LABEL_NAMES,
        ("class_weights", _SHARES),
        ("layer_weights", pa.list_(pa.float64())),  # after the softmax
        ("weights", pa.binary()),  # safetensors
        ("test_ids", pa.list_(pa.string())),
        ("test_probs", pa.list_(_SHARES)),
        ("threshold_macro_f1", pa.float64()),  # of the test set, all together
        ("batch_threshold_macro_f1", pa.float64()),  # mean over batches of 32
        ("other_scores", pa.list_(_OTHER_SCORES)),  # against each label table beside
    ]
)
"""One row per trained head: a fold and a seed of a strategy; ``model`` is the encoder."""

GAINS = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("head", pa.string(), nullable=False),
        pa.field("labels", pa.string(), nullable=False),  # the label table that is learned
        ("truth", pa.string()),  # the label table measured against; null for the test labels
        pa.field("score", pa.string(), nullable=False),  # pooled, or batches of 32
        pa.field("row", pa.string(), nullable=False),  # encoder, mean_of_gains, ratio_of_averages
        ("encoder", pa.string()),  # null for all together
        ("without", pa.float64()),  # threshold macro-F1, trained from the corpus's own labels
        ("relabelled", pa.float64()),  # trained from the label table
        ("gain", pa.float64()),  # relative, 0.03 for 3 %
        ("seeds_low", pa.float64()),  # of a 95 % interval over seeds; null with one
        ("seeds_high", pa.float64()),
        ("utterances_low", pa.float64()),  # of one over utterances
        ("utterances_high", pa.float64()),
    ]
)
"""What heads gain by other training labels; scores are means over seeds and folds."""
