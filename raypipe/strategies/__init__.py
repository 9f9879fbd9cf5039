"""Strategies: rules that turn what a model produced into one predicted distribution.

================  ===========================================================================
strategy          rule
================  ===========================================================================
``greedy``        the greedy hypothesis as parsed (no test-time scaling)
``cot``           the greedy answer to the prompt's variant with step-by-step instructions
``token``         mean raw logits of the emotion words, divided by their sum (Eq. 2 of
                  token_level_logits)
``token_softmax`` the same logits through a softmax with a temperature
``bon``           the valid beam with the largest alpha (test_time_scaling, 4.2.2)
``w_bon``         Dirichlet mixture of the valid beams, weights softmax(alpha) (Eq. 2 and 3);
                  equal weights, and ``weighting`` says so, where an endpoint tells no alpha
``alm_v``         the valid beam with the largest verifier score (4.2.3)
``w_alm_v``       Dirichlet mixture, weights from the verifier scores
``adaptive``      a cheap one of these, and an expensive one where the cheap prediction is
                  ambiguous (its entropy above a threshold) or invalid
================  ===========================================================================

Beams are those of the run's main search. A row may hold the beams of further searches, with other
numbers of beams; a :class:`Variant` names which one it reads.

A clip longer than the model's window was heard in parts. Every part is predicted by itself, and
the utterance's prediction is their mean, weighted by their seconds (:mod:`.mean`); ``adaptive``
decides once, for the whole utterance.

Every prediction says what it cost (:mod:`.cost`), and those of ``adaptive`` whether they were
``escalated``.

To add a strategy, write one function of a :class:`Bundle` in :mod:`.rules` and name it in the
three tables there.
A strategy that lacks what it needs gives an invalid prediction with a stable reason; it never
raises and never falls back to another: ``no_greedy``, ``no_cot``, ``no_beams``, ``no_alpha``,
``no_valid_beam``, ``no_scores``, ``no_logits``, ``no_steps``, ``no_label_tokens``,
``no_emotion_word``, ``non_positive_logit``, ``no_raw_logits`` (log-probabilities only),
``logprobs_incomplete``, ``not_finite``, ``refusal``, ``content_filter``, ``failed`` (the question
that it reads got no answer), or the reason of the parser.
"""

from raypipe.strategies.bundle import Bundle, Candidate
from raypipe.strategies.mean import ensemble, mean_of
from raypipe.strategies.settings import AdaptiveSettings, AggregationSettings
from raypipe.strategies.variants import STRATEGIES, Variant, predict, predict_variants

__all__ = [
    "STRATEGIES",
    "AdaptiveSettings",
    "AggregationSettings",
    "Bundle",
    "Candidate",
    "Variant",
    "ensemble",
    "mean_of",
    "predict",
    "predict_variants",
]
