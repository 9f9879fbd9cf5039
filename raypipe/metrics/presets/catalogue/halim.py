"""Preset ``halim``: token-level and text-level distributions of LTU-AS on IEMOCAP."""

from __future__ import annotations

from raypipe.metrics.catalogue.bhattacharyya import bhattacharyya_distance
from raypipe.metrics.catalogue.kullback_leibler import kl_divergence
from raypipe.metrics.catalogue.r2 import r2
from raypipe.metrics.classification import macro_f1
from raypipe.metrics.presets.preset import (
    PaperPreset,
    PresetMetric,
    accuracy_of,
    mean_of,
    of_classes,
)

_kl, _bd, _r2 = mean_of(kl_divergence), mean_of(bhattacharyya_distance), mean_of(r2)
_accuracy, _macro = of_classes(accuracy_of, per_label=False), of_classes(macro_f1)

PRESET = PaperPreset(
    name="halim",
    rank=10,
    title="Token-level logits of LTU-AS (token_level_logits), section on evaluation and Tables 1-3",
    paper="token_level_logits",
    corpora=("IEMOCAP",),
    labels="4: neutral, happiness with excitement, anger, sadness",
    base="natural logarithm",
    eps="1e-10 on the prediction in KL, which is normalised again, and below BC in BD",
    direction="KL(truth || prediction)",
    truth_ties="left_out",
    predicted_ties="first",
    invalid="left_out",
    subset="utterances with a vote for one of the four labels",
    open_questions="eps is not stated. The baseline's BD .51 in Table 1 is the BC .51 of AER-LLM "
    "and cannot be compared with the other BD. How ties count is not stated.",
    metrics=(
        PresetMetric(
            name="KL",
            definition="KL(truth || prediction) in nats",
            better="lower",
            score=_kl,
            published="KL",
            caution="the paper does not state eps, on which KL depends",
        ),
        PresetMetric(
            name="BD",
            definition="-ln sum sqrt(p q)",
            better="lower",
            score=_bd,
            published="BD",
            caution="the published BD .51 of Gemini is AER-LLM's BC .51, another quantity",
        ),
        PresetMetric(
            name="R2",
            definition="squared Pearson correlation over the labels, left out where undefined",
            better="higher",
            score=_r2,
            published="R2",
        ),
        PresetMetric(
            name="accuracy",
            definition="share of utterances whose predicted label is the majority's",
            better="higher",
            score=_accuracy,
            published="accuracy",
        ),
        PresetMetric(
            name="macro_f1",
            definition="unweighted mean F1 of the labels that occur",
            better="higher",
            score=_macro,
            published="macro_f1",
            caution="whether the published F1 is macro or weighted is not stated",
        ),
    ),
)
