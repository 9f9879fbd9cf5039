"""What a prediction costs: the questions that its strategies read, each paid for once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from raypipe.questions import Cost, question_named, total
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.strategy import Strategy


def cost_of(strategies: Collection[Strategy], windows: Sequence[WindowAnswers]) -> Cost:
    """Cost of asking all that these strategies read, each question once.

    A question costs its prompt, audio included, and all that was written in answer to it. A
    search answers one question with all its beams, those that a strategy does not look at as
    well. Candidates are put to the verifier one by one; of a search read in part only the beams
    looked at count.

    Args:
        strategies: that read answers themselves.
        windows: answers of the utterance's windows, whose costs add up.
    """
    return _sum([_window_cost(strategies, window) for window in windows])


def _window_cost(strategies: Collection[Strategy], answers: WindowAnswers) -> Cost:
    answered = {"greedy"} if answers.greedy is not None else set()
    asked = {
        question
        for strategy in strategies
        for question in (strategy.asked(answered) if strategy.instead else strategy.questions)
    }
    return _sum([_question_cost(name, answers) for name in sorted(asked)])


def _question_cost(name: str, answers: WindowAnswers) -> Cost:
    question = question_named(name)
    written = answers.searched if question.kind == "beam" else answers.of_kind(question.kind)
    candidates = [beam.hypothesis for beam in answers.beams if beam.parsed.probs is not None]
    return question.cost([answer.hypothesis for answer in written], candidates)


def _sum(costs: Sequence[Cost]) -> Cost:
    if len(costs) == 1:
        return costs[0]
    return Cost(
        total(cost.model_tokens for cost in costs), total(cost.verifier_calls for cost in costs)
    )
