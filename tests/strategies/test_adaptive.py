from itertools import product

import pytest
from made_up_hypotheses import LABELS, TOKENS, beams, heard

from raypipe.errors import ConfigError
from raypipe.questions import QUESTIONS
from raypipe.records import Hypothesis
from raypipe.strategies import Settings, predict
from raypipe.strategies.needs import is_ambiguous, needs


@pytest.mark.parametrize(
    ("strategies", "cheap", "expensive", "every", "ambiguous"),
    [
        (["greedy", "token"], "greedy", "w_bon", {"greedy"}, set()),
        (["greedy", "w_bon", "alm_v"], "greedy", "cot", {"greedy", "beams", "verifier"}, set()),
        (["adaptive"], "greedy", "w_bon", {"greedy"}, {"beams"}),
        (["adaptive"], "token", "w_alm_v", {"greedy"}, {"beams", "verifier"}),
        (["adaptive"], "w_bon", "w_alm_v", {"beams"}, {"verifier"}),
        (["adaptive", "bon"], "greedy", "w_alm_v", {"greedy", "beams"}, {"verifier"}),
        (["adaptive", "w_bon"], "greedy", "w_bon", {"greedy", "beams"}, set()),
        (["adaptive", "cot"], "cot", "bon", {"cot"}, {"beams"}),
    ],
)
def test_only_what_no_other_strategy_needs_is_saved(
    strategies: list[str], cheap: str, expensive: str, every: set[str], ambiguous: set[str]
) -> None:
    asked = needs(strategies, Settings(cheap=cheap, expensive=expensive), QUESTIONS)
    assert (asked.every, asked.ambiguous) == (every, ambiguous)


@pytest.mark.parametrize("strategies", [["best"], ["adaptive"]])
def test_an_unknown_strategy_is_refused(strategies: list[str]) -> None:
    with pytest.raises(ConfigError, match="'best'"):
        needs(strategies, Settings(expensive="best"), QUESTIONS)


def test_where_no_greedy_answer_is_offered_the_token_strategies_read_beams() -> None:
    assert needs(["token"], Settings(), ["beams"]).every == {"beams"}
    assert needs(["token"], Settings(), ["greedy", "beams"]).every == {"greedy"}


GREEDY = [heard("greedy", share) for share in (1.0, 0.9, 0.5, None)]
SEARCHED = [beams(1.0, 1.0), beams(0.9, 0.1), beams(None)]


@pytest.mark.parametrize("cheap", ["greedy", "bon", "w_bon"])
@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.9])
def test_who_is_asked_again_is_who_escalates(cheap: str, threshold: float) -> None:
    """Whether or not what the cheap strategy does not read is there already."""
    settings = Settings(cheap=cheap, expensive="cot", threshold=threshold)
    decided = set()
    for first, found in product(GREEDY, SEARCHED):
        everything: list[Hypothesis] = [first, *found, heard("cot", 0.3)]
        read = [first] if cheap == "greedy" else found
        (later,) = predict(everything, ["adaptive"], LABELS, TOKENS, settings)
        for known in (read, everything):
            assert is_ambiguous(known, ["adaptive"], LABELS, TOKENS, settings) == later.escalated
        decided.add(later.escalated)
    assert decided == {False, True}


def test_the_search_that_a_cheap_strategy_reads_is_named() -> None:
    both = [*beams(1.0, 1.0, width=2), *beams(1.0, 0.5, 0.0, width=3)]
    settings = Settings(cheap="w_bon", expensive="cot", threshold=0.5)
    assert not is_ambiguous(both, ["adaptive"], LABELS, TOKENS, settings, beam_count=2)
    assert is_ambiguous(both, ["adaptive"], LABELS, TOKENS, settings, beam_count=3)
