"""What the models of a run are asked, in which calls and in which order."""

from __future__ import annotations

from typing import Any

import pytest
from in_process import LABELS

from raypipe.records import Search
from raypipe.runtime.infer.questions import passes_of, verification_of


def asked(runs: Any, **changes: Any) -> list[tuple[Any, ...]]:
    """Per call its questions, beams, greedy, longest answer, and whom it is about."""
    return [
        (
            step.questions,
            step.request.beam_count,
            step.request.greedy,
            step.request.max_new_tokens,
            step.cot,
            step.only_ambiguous,
        )
        for step in passes_of(runs.config(**changes), LABELS)
    ]


def test_the_greedy_answer_and_the_main_beams_are_one_call(in_process: Any) -> None:
    assert asked(in_process, decoding={"beam_count": 5, "max_new_tokens": 20}) == [
        (("greedy", "beams"), 5, True, 20, False, False)
    ]


def test_further_searches_and_long_reasoning_are_calls_of_their_own(in_process: Any) -> None:
    calls = asked(
        in_process,
        strategies=["greedy", "w_bon", "cot"],
        decoding={"beam_count": 5, "other_beam_counts": [2, 1], "max_new_tokens": 20},
        prompt={"cot_max_new_tokens": 300},
    )
    assert calls == [
        (("greedy", "beams"), 5, True, 20, False, False),
        (("beams",), 2, False, 20, False, False),
        (("beams",), 1, False, 20, False, False),
        (("cot",), 0, True, 300, True, False),
    ]


def test_the_longest_of_several_prompts_reasoning_is_waited_for(in_process: Any) -> None:
    prompts = [
        {"name": "a", "cot_max_new_tokens": 70},
        {"name": "b", "cot_max_new_tokens": 90},
    ]
    calls = asked(in_process, strategies=["cot"], prompts=prompts, decoding={"beam_count": 0})
    assert [call[3] for call in calls if call[4]] == [90]


def test_without_beams_only_the_greedy_answer_is_asked(in_process: Any) -> None:
    calls = asked(in_process, strategies=["greedy"], decoding={"beam_count": 0})
    assert [(call[0], call[1]) for call in calls] == [(("greedy",), 0)]


def test_without_a_greedy_answer_only_beams_are_asked(in_process: Any) -> None:
    decoding = {"beam_count": 2, "greedy": False}
    calls = asked(in_process, strategies=["w_bon"], decoding=decoding)
    assert [(call[0], call[1], call[2]) for call in calls] == [(("beams",), 2, False)]


def test_what_only_an_expensive_strategy_reads_waits_for_ambiguity(in_process: Any) -> None:
    calls = asked(
        in_process,
        strategies=["adaptive"],
        adaptive={"expensive": "cot"},
        decoding={"beam_count": 0},
    )
    assert [(call[0], call[5]) for call in calls] == [(("greedy",), False), (("cot",), True)]


def test_what_another_strategy_reads_does_not_wait(in_process: Any) -> None:
    calls = asked(
        in_process,
        strategies=["adaptive", "cot"],
        adaptive={"expensive": "cot"},
        decoding={"beam_count": 0},
    )
    assert [(call[0], call[5]) for call in calls] == [(("greedy",), False), (("cot",), False)]


@pytest.mark.parametrize("strategies", [["greedy"], ["w_bon", "cot"]])
def test_nothing_is_verified_unless_a_strategy_reads_scores(
    in_process: Any, strategies: list[str]
) -> None:
    assert verification_of(in_process.config(strategies=strategies), "source") is None


def test_a_number_in_the_text_needs_one_greedy_answer(in_process: Any) -> None:
    config = in_process.config(
        strategies=["alm_v"], verifier={"candidates": 2, "max_new_tokens": 4}
    )
    verification = verification_of(config, "source")
    assert verification is not None
    assert verification.source == "source"
    assert verification.search == Search(0, True, 4)
    assert (verification.candidates, verification.expected) == (2, False)
    assert (verification.own_model, verification.only_ambiguous) == (True, False)


def test_an_expected_number_needs_beams(in_process: Any) -> None:
    config = in_process.config(
        strategies=["w_alm_v"],
        verifier={
            "score": "expected",
            "beam_count": 7,
            "model": {"engine": "fake", "path": "other"},
        },
    )
    verification = verification_of(config, "source")
    assert verification is not None
    assert verification.search == Search(7, False, 16)
    assert verification.expected
    assert not verification.own_model


def test_a_verifier_that_only_adaptive_needs_scores_ambiguous_utterances(in_process: Any) -> None:
    adaptive = {"expensive": "w_alm_v"}
    config = in_process.config(strategies=["adaptive"], adaptive=adaptive)
    verification = verification_of(config, "source")
    assert verification is not None
    assert verification.only_ambiguous
    both = in_process.config(strategies=["adaptive", "alm_v"], adaptive=adaptive)
    verification = verification_of(both, "source")
    assert verification is not None
    assert not verification.only_ambiguous


def test_a_verifier_is_held_to_no_grammar(in_process: Any) -> None:
    decoding = {"beam_count": 2, "grammar": {"regex": "a+"}}
    verification = verification_of(in_process.config(strategies=["alm_v"], decoding=decoding), "s")
    assert verification is not None
    assert verification.search.grammar is None
