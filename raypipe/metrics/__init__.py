"""Metrics: pure functions of arrays, and the reduce that applies them to whole tables.

===================  =========================================================================
module               what
===================  =========================================================================
``distribution``     JS, BC, BD, KL, R2 of two distributions, row by row
``classification``   accuracy, F1, confusion, annotator-aware and threshold scores
``calibration``      ECE, Brier, AUROC of the uncertainty
``baselines``        the constant predictors ``uniform`` and ``prior``
``bins``             ambiguity bins
``bootstrap``        Poisson weights and percentile intervals
``exact``            sums that merge in any order to the same bits
``rows``             ``predictions/`` as arrays
``summary``          pass 1 of the reduce: the corpus
``statistics``       one utterance's summands, and every metric from their sums
``reduce``           pass 2 of the reduce: ``metrics/``
===================  =========================================================================

To add a metric, write its function with its oracle test, then its summands and its line in
``statistics``.
"""
