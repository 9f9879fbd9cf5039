"""Strategies: rules that turn what a model answered into one predicted distribution.

A strategy is one object in one file of :mod:`raypipe.strategies.catalogue`; a package brings its
own by an entry point of the group ``raypipe.strategies``. Config, checks, sweeps, tables, reports
and documentation read what the object declares. ``raypipe strategies`` lists them all.

Beams are those of the run's main search. A row may hold the beams of further searches, with other
numbers of beams; a :class:`Variant` names which one it reads.

A clip longer than the model's window was heard in parts. Every part is predicted by itself, and
the utterance's prediction is their mean, weighted by their seconds (:mod:`.mean`); a composite
strategy decides once, for the whole utterance.

Every prediction says what it cost (:mod:`.cost`), and those of ``adaptive`` whether they were
``escalated``.

A strategy that lacks what it needs gives an invalid prediction with a stable reason; it never
raises and never falls back to another: ``no_greedy``, ``no_cot``, ``no_beams``, ``no_alpha``,
``no_valid_beam``, ``no_scores``, ``no_logits``, ``no_steps``, ``no_label_tokens``,
``no_emotion_word``, ``non_positive_logit``, ``no_raw_logits`` (log-probabilities only),
``logprobs_incomplete``, ``not_finite``, ``refusal``, ``content_filter``, ``failed`` (a question
that it reads got no answer), ``not_fitted``, or the reason of the parser.

A fitted strategy has parameters that are fitted over a whole run (:mod:`.fitting`); by itself an
utterance has no prediction of it.
"""

from raypipe.strategies.answers import Candidate, WindowAnswers
from raypipe.strategies.setting import Setting, Settings
from raypipe.strategies.strategy import AnyStrategy, Composite, Fitted, Strategy

# isort: split
# The registry imports packages that bring strategies, which import what stands above.
from raypipe.strategies.mean import ensemble, mean_of
from raypipe.strategies.reading import Variant, predict, predict_variants
from raypipe.strategies.registry import SETTINGS, STRATEGIES, strategy_named

__all__ = [
    "SETTINGS",
    "STRATEGIES",
    "AnyStrategy",
    "Candidate",
    "Composite",
    "Fitted",
    "Setting",
    "Settings",
    "Strategy",
    "Variant",
    "WindowAnswers",
    "ensemble",
    "mean_of",
    "predict",
    "predict_variants",
    "strategy_named",
]
