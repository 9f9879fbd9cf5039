"""Questions: what a model can be asked about an utterance.

A question is one object in one file of :mod:`raypipe.questions.catalogue`. Strategies name the
questions they read, engines declare what they are able to do, and a run asks what its strategies
need (:func:`plan_passes`).
"""

from raypipe.questions.cost import Cost, answer_cost, total
from raypipe.questions.outline import PromptOutline, RunOutline
from raypipe.questions.passes import Pass
from raypipe.questions.planning import Asked, plan_passes
from raypipe.questions.question import Question
from raypipe.questions.registry import QUESTIONS, question_named

__all__ = [
    "QUESTIONS",
    "Asked",
    "Cost",
    "Pass",
    "PromptOutline",
    "Question",
    "RunOutline",
    "answer_cost",
    "plan_passes",
    "question_named",
    "total",
]
