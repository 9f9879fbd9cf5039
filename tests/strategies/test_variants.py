"""Windows, several searches, costs and the adaptive choice, on made-up hypotheses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up_hypotheses import LABELS, TOKENS, beams, heard

from raypipe.errors import ConfigError
from raypipe.records import AskedQuestion, Hypothesis, Prediction
from raypipe.strategies import STRATEGIES, Settings, Variant, predict_variants

SURE, UNSURE = heard("greedy", 1.0), heard("greedy", 0.5)
JUDGED = [
    heard("beam", 0.8, 5, rank=0, verifier_score=0.5, verifier_call=0, verifier_tokens=40),
    heard("beam", 0.8, 5, rank=1, verifier_score=0.5, verifier_call=0, verifier_tokens=40),
    heard("beam", 0.2, 5, rank=2, verifier_error="no number", verifier_call=1, verifier_tokens=41),
    heard("beam", None, 5, rank=3),
]


def read(
    hypotheses: list[Hypothesis],
    strategy: str,
    adaptive: Settings | None = None,
    sub_beams: int | None = None,
    beam_count: int | None = None,
) -> Prediction:
    variant = Variant("x", strategy, adaptive or Settings(), sub_beams, beam_count)
    (prediction,) = predict_variants(hypotheses, [variant], LABELS, TOKENS)
    assert prediction.strategy == "x"
    return prediction


def shares(prediction: Prediction) -> list[float]:
    assert prediction.probs is not None
    return prediction.probs.round(6).tolist()


def test_cot_is_the_answer_to_the_other_variant_of_the_prompt() -> None:
    assert shares(read([UNSURE, heard("cot", 0.9)], "cot")) == [0.9, 0.1]
    assert read([UNSURE], "cot").invalid_reason == "no_cot"
    assert read([heard("cot", 0.9, finish_reason="refusal")], "cot").invalid_reason == "refusal"


# --- searches -----------------------------------------------------------------------------------


def test_a_variant_reads_the_search_it_names() -> None:
    both = [*beams(0.9, 0.7, 0.5, width=3), *beams(0.1, 0.2, 0.3, 0.4, 0.5, width=5)]
    assert shares(read(both, "w_bon", beam_count=3)) == [0.7, 0.3]
    assert shares(read(both, "w_bon", beam_count=5)) == [0.3, 0.7]
    assert shares(read(both, "w_bon")) == [0.3, 0.7]  # the widest
    assert shares(read(both, "w_bon", beam_count=5, sub_beams=3)) == [0.2, 0.8]
    assert read(both, "w_bon", beam_count=7).invalid_reason == "no_beams"


def test_beams_that_do_not_say_their_search_are_those_of_the_only_one() -> None:
    assert shares(read(beams(0.9, 0.7), "w_bon", beam_count=5)) == [0.8, 0.2]


# --- windows ------------------------------------------------------------------------------------


def in_window(hypothesis: Hypothesis, number: int, seconds: float | None) -> Hypothesis:
    return replace(hypothesis, window=number, window_s=seconds)


def test_every_window_is_predicted_by_itself_and_weighs_its_seconds() -> None:
    """Two windows whose likelihoods must not be compared: alphas of 0 and of -100."""
    parts = [
        in_window(heard("beam", 0.8, alpha=-100.0), 0, 30.0),
        in_window(heard("beam", 0.2, rank=0, alpha=0.0), 1, 10.0),
    ]
    assert shares(read(parts, "w_bon")) == [0.65, 0.35]
    assert shares(read(parts[::-1], "bon")) == [0.65, 0.35]


def test_a_window_without_an_answer_drops_out() -> None:
    parts = [
        in_window(heard("greedy", None), 0, 30.0),
        in_window(heard("greedy", 0.2), 1, 30.0),
        in_window(heard("greedy", 0.4), 2, 10.0),
    ]
    assert shares(read(parts, "greedy")) == [0.25, 0.75]
    nothing = read([replace(part, text="hm") for part in parts], "greedy")
    assert nothing.invalid_reason == read([heard("greedy", None)], "greedy").invalid_reason


def test_one_window_gives_what_the_whole_clip_gives() -> None:
    whole, alone = [UNSURE, *JUDGED], [in_window(one, 0, 12.5) for one in [UNSURE, *JUDGED]]
    for strategy in STRATEGIES:
        assert repr(read(whole, strategy)) == repr(read(alone, strategy))


def test_windows_that_do_not_say_how_long_they_are_are_refused() -> None:
    parts = [in_window(UNSURE, 0, 30.0), in_window(UNSURE, 1, None)]
    with pytest.raises(ValueError, match="2 windows"):
        read(parts, "greedy")


def test_windows_are_judged_ambiguous_together() -> None:
    """Each sure by itself, of opposite emotions: the clip as a whole is ambiguous."""
    parts = [
        in_window(heard("greedy", 1.0), 0, 10.0),
        in_window(heard("greedy", 0.0), 1, 10.0),
        in_window(heard("beam", 0.9), 0, 10.0),
        in_window(heard("beam", 0.3), 1, 10.0),
    ]
    found = read(parts, "adaptive", Settings(threshold=0.9))
    assert (shares(found), found.escalated) == ([0.6, 0.4], True)
    assert found.model_tokens == 2 * (100 + 4) + 2 * (100 + 4)


# --- costs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "tokens", "calls"),
    [
        ("greedy", 100 + 4, 0),
        ("token", 100 + 4, 0),
        ("token_softmax", 100 + 4, 0),
        ("cot", 130 + 9, 0),
        ("bon", 100 + 4 * 5, 0),
        ("w_bon", 100 + 4 * 5, 0),
        # Two candidates share a call, and what is no distribution is not judged.
        ("alm_v", 100 + 4 * 5 + 40 + 41, 2),
        ("w_alm_v", 100 + 4 * 5 + 40 + 41, 2),
    ],
)
def test_a_strategy_costs_the_questions_it_needs(strategy: str, tokens: int, calls: int) -> None:
    hypotheses = [UNSURE, heard("cot", 0.9, 9, prompt_tokens=130), *JUDGED]
    found = read(hypotheses, strategy)
    assert (found.model_tokens, found.verifier_calls) == (tokens, calls)


def test_a_search_read_in_part_costs_all_of_it_but_only_the_calls_for_that_part() -> None:
    found = read(JUDGED, "alm_v", sub_beams=2)
    assert (found.model_tokens, found.verifier_calls) == (100 + 4 * 5 + 40, 1)


def test_candidates_that_were_not_put_to_the_verifier_cost_no_call() -> None:
    found = read([JUDGED[0], *beams(0.5, 0.4)], "alm_v")
    assert (found.model_tokens, found.verifier_calls) == (100 + 3 * 5 + 40, 1)


def test_another_search_is_not_paid_for() -> None:
    both = [*beams(0.9, 0.7, 0.5, width=3), *beams(*[0.1] * 5, width=5)]
    assert read(both, "w_bon", beam_count=3).model_tokens == 100 + 3 * 5


def test_without_a_greedy_answer_token_strategies_pay_for_the_search() -> None:
    assert read(beams(0.9, 0.7), "token").model_tokens == 100 + 2 * 5


@pytest.mark.parametrize(
    ("strategy", "hypotheses", "calls"),
    [
        ("greedy", [heard("greedy", 0.5, prompt_tokens=None)], 0),
        ("greedy", [heard("greedy", 0.5, 0)], 0),  # an endpoint that tells neither ids nor steps
        ("w_bon", [*beams(0.9), heard("beam", 0.8, 0, rank=1)], 0),
        ("w_bon", [UNSURE], 0),  # never asked
        ("alm_v", [replace(one, verifier_tokens=None) for one in JUDGED], 2),
        ("alm_v", beams(0.9, 0.8), None),  # never judged
        ("alm_v", beams(0.9, verifier_score=0.5), None),  # judged, by who knows how many calls
    ],
)
def test_an_unknown_cost_is_null_and_never_a_part_of_it(
    strategy: str, hypotheses: list[Hypothesis], calls: int | None
) -> None:
    found = read(hypotheses, strategy)
    assert (found.model_tokens, found.verifier_calls) == (None, calls)


def test_an_endpoint_that_counts_without_ids_is_counted() -> None:
    assert read([heard("greedy", 0.5, 0, step_count=7)], "greedy").model_tokens == 107


def test_beams_without_a_distribution_need_no_verifier() -> None:
    found = read(beams(None, None), "alm_v")
    assert (found.model_tokens, found.verifier_calls) == (100 + 2 * 5, 0)


# --- adaptive -----------------------------------------------------------------------------------

CHEAP_OR = {name: Settings(expensive=name, threshold=0.5) for name in ("w_bon", "cot", "w_alm_v")}


@pytest.mark.parametrize("expensive", CHEAP_OR)
def test_a_clear_utterance_costs_and_says_what_the_cheap_strategy_does(expensive: str) -> None:
    cheap, found = read([SURE], "greedy"), read([SURE], "adaptive", CHEAP_OR[expensive])
    assert repr(replace(found, escalated=None)) == repr(cheap)
    assert found.escalated is False


@pytest.mark.parametrize(
    ("expensive", "tokens", "calls"),
    [("w_bon", 104 + 120, 0), ("cot", 104 + 104, 0), ("w_alm_v", 104 + 120 + 81, 2)],
)
def test_an_ambiguous_one_costs_both_and_says_what_the_expensive_strategy_does(
    expensive: str, tokens: int, calls: int
) -> None:
    hypotheses = [UNSURE, heard("cot", 0.9), *JUDGED]
    found = read(hypotheses, "adaptive", CHEAP_OR[expensive])
    np.testing.assert_array_equal(found.probs, read(hypotheses, expensive).probs)
    assert (found.model_tokens, found.verifier_calls, found.escalated) == (tokens, calls, True)


def test_a_question_that_both_need_is_paid_for_once() -> None:
    settings = Settings(cheap="w_bon", expensive="w_alm_v", threshold=0.1)
    assert read(JUDGED, "adaptive", settings).model_tokens == 100 + 4 * 5 + 40 + 41


def test_an_invalid_cheap_prediction_escalates_at_any_threshold() -> None:
    hypotheses = [heard("greedy", None), *beams(0.9)]
    found = read(hypotheses, "adaptive", Settings(threshold=1000.0))
    assert (shares(found), found.escalated) == ([0.9, 0.1], True)


def test_the_threshold_itself_is_still_clear() -> None:
    """A share of one half has exactly 1 bit."""
    hypotheses = [UNSURE, *beams(0.9)]
    assert read(hypotheses, "adaptive", Settings(threshold=1.0)).escalated is False
    assert read(hypotheses, "adaptive", Settings(threshold=0.999)).escalated is True


def test_what_was_not_asked_is_invalid_and_never_the_cheap_answer() -> None:
    found = read([UNSURE], "adaptive", Settings(threshold=0.5))
    assert (found.valid, found.invalid_reason, found.escalated) == (False, "no_beams", True)
    assert found.model_tokens is None


@pytest.mark.parametrize(
    "settings",
    [
        {"cheap": "bon", "expensive": "bon"},
        {"cheap": "adaptive"},
        {"expensive": "adaptive"},
        {"threshold": -0.1},
        {"threshold": float("nan")},
        {"threshold": float("inf")},
        {"expensive": "best"},
    ],
)
def test_adaptive_settings_that_cannot_be_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="adaptive"):
        Variant("adaptive", "adaptive", Settings(**settings))


def test_settings_of_adaptive_are_not_looked_at_by_others() -> None:
    settings = Settings(cheap="bon", expensive="bon")
    assert Variant("greedy", "greedy", settings).parts == ("greedy",)


# --- questions that got no answer -----------------------------------------------------------------


def failed(question: str, **more: int) -> AskedQuestion:
    return AskedQuestion(question, error_type="out_of_memory", error_message="12 GiB", **more)


@pytest.mark.parametrize(
    ("strategy", "question", "reason"),
    [
        ("greedy", "greedy", "failed"),
        ("token", "greedy", "failed"),
        ("cot", "cot", "failed"),
        ("bon", "beams", "failed"),
        ("w_alm_v", "beams", "failed"),
        ("greedy", "beams", None),
    ],
)
def test_a_strategy_whose_question_failed_says_so(
    strategy: str, question: str, reason: str | None
) -> None:
    """Nothing is read in place of the answer, and what was spent on it is not known."""
    variant = Variant(strategy, strategy, Settings())
    answers = [] if reason else [SURE]
    (prediction,) = predict_variants(answers, [variant], LABELS, TOKENS, [failed(question)])
    assert prediction.invalid_reason == reason
    assert (prediction.model_tokens is None) == (reason is not None)


def test_the_search_that_failed_is_told_from_another_one() -> None:
    narrow, wide = (Variant("x", "w_bon", Settings(), beam_count=count) for count in (3, 5))
    both = predict_variants(
        beams(0.9, 0.7, width=3), [narrow, wide], LABELS, TOKENS, [failed("beams", beam_count=5)]
    )
    assert [prediction.invalid_reason for prediction in both] == [None, "failed"]
    (widest,) = predict_variants(
        beams(0.9, 0.7, width=3),
        [Variant("x", "w_bon", Settings())],
        LABELS,
        TOKENS,
        [failed("beams", beam_count=5)],
    )
    assert widest.invalid_reason == "failed"
