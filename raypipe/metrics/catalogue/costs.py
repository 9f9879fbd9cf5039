"""What predictions cost: tokens, calls of a verifier, escalations."""

from __future__ import annotations

import math

from raypipe.metrics.kinds import CostMetric
from raypipe.metrics.metric import Section

METRICS = (
    CostMetric(
        name="model_tokens",
        title="Tokens",
        description="mean number of tokens that the models read and wrote for an utterance",
        range=(0.0, math.inf),
        unit="tokens",
        better="lower",
        undefined="no utterance's tokens are known, as some endpoints do not say",
        source="mean of the column",
        section=Section.COST,
        rank=10,
    ),
    CostMetric(
        name="verifier_calls",
        title="Calls",
        description="mean number of calls of a verifier for an utterance",
        range=(0.0, math.inf),
        unit="calls",
        better="lower",
        undefined="no utterance's calls are known",
        source="mean of the column",
        section=Section.COST,
        rank=20,
    ),
    CostMetric(
        name="escalated",
        title="Escalated",
        description="share of utterances that adaptive passed on to its expensive strategy",
        range=(0.0, 1.0),
        better="neither",
        undefined="the strategy does not escalate",
        source="mean of the column",
        section=Section.COST,
        rank=30,
    ),
)
