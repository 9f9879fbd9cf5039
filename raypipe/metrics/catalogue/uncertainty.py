"""How well predicted uncertainty tells ambiguous utterances from clear ones."""

from __future__ import annotations

from raypipe.metrics.distribution import entropy_bits
from raypipe.metrics.kinds import AurocMetric
from raypipe.metrics.metric import Section

_UNDEFINED = "all of the utterances are ambiguous, or none"
_SOURCE = "P(ambiguous > clear) + P(equal) / 2; interval: DeLong et al., Biometrics 44 (1988)"

METRICS = (
    AurocMetric(
        name="uncertainty_auroc",
        title="AUROC, entropy",
        description="AUROC of the predicted entropy for utterances more ambiguous than the median",
        range=(0.0, 1.0),
        better="higher",
        undefined=_UNDEFINED,
        source=_SOURCE,
        section=Section.UNCERTAINTY,
        rank=10,
        function=entropy_bits,
    ),
    AurocMetric(
        name="aleatoric_auroc",
        title="AUROC, aleatoric",
        narrow="AUROC\nalea.",
        description="AUROC of the aleatoric part of the uncertainty, where a strategy has one",
        range=(0.0, 1.0),
        better="higher",
        undefined=_UNDEFINED,
        source=_SOURCE,
        section=Section.UNCERTAINTY,
        rank=20,
        column="aleatoric_uncertainty",
    ),
    AurocMetric(
        name="epistemic_auroc",
        title="AUROC, epistemic",
        narrow="AUROC\nepi.",
        description="AUROC of the epistemic part of the uncertainty, where a strategy has one",
        range=(0.0, 1.0),
        better="higher",
        undefined=_UNDEFINED,
        source=_SOURCE,
        section=Section.UNCERTAINTY,
        rank=30,
        column="epistemic_uncertainty",
    ),
)
