"""What a prediction costs: the tokens a model read and wrote for it, and the verifier's calls."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from raypipe.records import Hypothesis
from raypipe.strategies.bundle import Bundle, Candidate
from raypipe.strategies.mean import total
from raypipe.strategies.rules import NEEDS, Question


@dataclass(frozen=True, slots=True)
class Cost:
    """What was spent.

    Attributes:
        model_tokens: read and written by the model and, where there is one, the verifier; None
            where an endpoint does not say, or what is needed was not asked.
        verifier_calls: calls of the verifier, equal candidates sharing one; None likewise.
    """

    model_tokens: int | None
    verifier_calls: int | None


def cost_of(strategies: Collection[str], bundles: Sequence[Bundle]) -> Cost:
    """Cost of asking all that these strategies need, each question once.

    A question costs its prompt, audio included, and all that was written in answer to it. A
    search answers one question with all its beams, those that a strategy does not look at as
    well. Candidates are put to the verifier one by one; of a search read in part only the beams
    looked at count.

    Args:
        strategies: names from :data:`raypipe.strategies.rules.RULES`.
        bundles: of the utterance's windows, whose costs add up.
    """
    costs = [_window_cost(strategies, bundle) for bundle in bundles]
    return Cost(
        total(cost.model_tokens for cost in costs), total(cost.verifier_calls for cost in costs)
    )


def _window_cost(strategies: Collection[str], bundle: Bundle) -> Cost:
    asked = frozenset[Question]().union(*(_asked(name, bundle) for name in strategies))
    answers: dict[Question, Sequence[Candidate]] = {
        "greedy": [] if bundle.greedy is None else [bundle.greedy],
        "cot": [] if bundle.cot is None else [bundle.cot],
        "beams": bundle.searched,
    }
    tokens = [_question(found) for question, found in answers.items() if question in asked]
    if "verifier" not in asked:
        return Cost(total(tokens), 0)
    calls = _verifier_calls(bundle.beams)
    if calls is None:
        return Cost(None, None)
    return Cost(total([*tokens, *calls.values()]), len(calls))


def _asked(strategy: str, bundle: Bundle) -> frozenset[Question]:
    """Without a greedy answer the token strategies read the best beam."""
    instead = strategy in ("token", "token_softmax") and bundle.greedy is None
    return frozenset({"beams"}) if instead else NEEDS[strategy]


def _question(answers: Sequence[Candidate]) -> int | None:
    """Prompt and answers of one question; None if it was not asked."""
    if not answers:
        return None
    written = [_steps(one.hypothesis) for one in answers]
    return total([answers[0].hypothesis.prompt_tokens, *written])


def _steps(hypothesis: Hypothesis) -> int | None:
    unknown = hypothesis.step_count is None and not hypothesis.token_ids
    return None if unknown else hypothesis.steps


def _verifier_calls(beams: Sequence[Candidate]) -> dict[int, int | None] | None:
    """Tokens by number of the call; None if it is not known which calls there were.

    A run may have only its first candidates judged. A beam without a distribution is none, and
    without any there is nothing to call for.
    """
    candidates = [one.hypothesis for one in beams if one.parsed.probs is not None]
    calls = {
        one.verifier_call: one.verifier_tokens
        for one in candidates
        if one.verifier_call is not None
    }
    judged = [one for one in candidates if one.verifier_score is not None or one.verifier_error]
    uncounted = any(one.verifier_call is None for one in judged)
    return None if not beams or uncounted or (candidates and not calls) else calls
