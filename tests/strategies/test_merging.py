import dataclasses
import math

import numpy as np
import pytest

from raypipe.labels import LabelSet
from raypipe.records import EmotionTokens, Hypothesis
from raypipe.strategies import STRATEGIES, Settings, Variant, predict, predict_variants
from raypipe.strategies.merging import merge_tokenisations

LABELS = LabelSet(("anger", "sadness"))
ANGRY, SAD = '{"anger": 1, "sadness": 0}', '{"anger": 0, "sadness": 1}'


def beam(rank: int, text: str, token_ids: tuple[int, ...], p: float, **changes) -> Hypothesis:
    alpha = math.log(p)
    share = np.full(len(token_ids), alpha / len(token_ids), dtype=np.float32)
    logits = np.full((len(token_ids), 2), rank, dtype=np.float32)
    made = Hypothesis("beam", rank, text, token_ids, share, alpha, "stop", logits, beam_count=3)
    return dataclasses.replace(made, **changes)


def texts(hypotheses) -> list[tuple[str, int, float]]:
    return [(one.text, one.rank, round(math.exp(one.alpha), 9)) for one in hypotheses]


BEAMS = [
    beam(0, SAD, (1, 2), 0.4),
    beam(1, ANGRY, (3, 4), 0.3),
    beam(2, ANGRY, (3, 5, 6), 0.2),
]


def test_a_text_is_as_likely_as_all_its_tokenisations_together():
    merged = merge_tokenisations(BEAMS)
    assert texts(merged) == [(ANGRY, 0, 0.5), (SAD, 1, 0.4)]


def test_it_keeps_what_belongs_to_its_most_likely_tokens():
    angry, sad = merge_tokenisations(BEAMS[::-1])
    assert angry.token_ids == (3, 4)
    assert (angry.token_logprobs, angry.emotion_logits) == (
        BEAMS[1].token_logprobs,
        BEAMS[1].emotion_logits,
    )
    assert dataclasses.replace(sad, rank=0) == BEAMS[0]


def test_best_of_n_then_chooses_the_likeliest_text():
    def chosen(hypotheses):
        answers = predict(
            hypotheses,
            ["bon", "w_bon"],
            LABELS,
            EmotionTokens((), (), ()),
            Settings(),
        )
        return [answer.probs.round(6).tolist() for answer in answers]

    assert chosen(BEAMS) == [[0.0, 1.0], [0.555556, 0.444444]]
    assert chosen(merge_tokenisations(BEAMS)) == [[1.0, 0.0], [0.555556, 0.444444]]


def test_the_mean_of_the_mixture_is_the_same_as_its_weights_add_up():
    random = np.random.default_rng(0)
    for _ in range(20):
        shares = [round(float(share), 3) for share in random.uniform(0, 1, 6)]
        answers = [f'{{"anger": {p}, "sadness": {round(1 - p, 3)}}}' for p in shares[:3]]
        beams = [
            beam(rank, answers[random.integers(3)], (rank, 7), p)
            for rank, p in enumerate(sorted(shares, reverse=True))
        ]
        tokens, settings = EmotionTokens((), (), ()), Settings()
        (one,) = predict(beams, ["w_bon"], LABELS, tokens, settings)
        (other,) = predict(merge_tokenisations(beams), ["w_bon"], LABELS, tokens, settings)
        np.testing.assert_allclose(one.probs, other.probs, atol=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {"finish_reason": "length"},
        {"window": 1},
        {"beam_count": 5},
        {"text": ANGRY + " "},
        {"sampled": True},
    ],
)
def test_what_is_not_another_tokenisation_is_not_merged(changes):
    one, other = beam(0, ANGRY, (1,), 0.5), beam(1, ANGRY, (2, 3), 0.25)
    merged = merge_tokenisations([one, dataclasses.replace(other, **changes)])
    assert sorted(round(math.exp(item.alpha), 9) for item in merged) == [0.25, 0.5]


def test_samples_and_the_greedy_answer_stay_as_they_are():
    greedy = dataclasses.replace(BEAMS[1], kind="greedy", rank=0, beam_count=None)
    samples = [beam(rank, SAD, (1, 2), 0.4, sampled=True) for rank in range(3)]
    unknown = [dataclasses.replace(one, alpha=None, token_ids=()) for one in BEAMS]
    for hypotheses in ([greedy, *samples], unknown, []):
        assert merge_tokenisations(hypotheses) == hypotheses
    merged = merge_tokenisations([greedy, *BEAMS])
    assert merged[0] == greedy
    assert texts(merged[1:]) == [(ANGRY, 0, 0.5), (SAD, 1, 0.4)]


def test_ranks_count_from_0_in_every_search():
    three, five = BEAMS, [dataclasses.replace(one, beam_count=5) for one in BEAMS]
    merged = merge_tokenisations([*three, *five])
    assert [(one.beam_count, one.rank) for one in merged] == [(3, 0), (3, 1), (5, 0), (5, 1)]


def test_a_judgement_with_a_score_is_kept():
    judged = {"verifier_score": 0.7, "verifier_text": "0.7", "verifier_call": 1}
    failed = {"verifier_error": "no number", "verifier_call": 0}
    first, second = beam(0, SAD, (1,), 0.5, **failed), beam(1, SAD, (2, 3), 0.2, **judged)
    (merged,) = merge_tokenisations([first, second])
    assert (merged.verifier_score, merged.verifier_text) == (0.7, "0.7")
    assert (merged.verifier_call, merged.verifier_error) == (1, None)
    (merged,) = merge_tokenisations([dataclasses.replace(first), beam(1, SAD, (2, 3), 0.2)])
    assert merged.verifier_error == "no number"


def test_a_beam_that_is_not_a_number_stays_one_and_comes_last():
    broken = beam(1, ANGRY, (1,), 0.5, alpha=math.nan)
    merged = merge_tokenisations([broken, beam(2, SAD, (2,), 0.1)])
    assert [one.text for one in merged] == [SAD, ANGRY]
    assert math.isnan(merged[1].alpha)


MIXED = '{"anger": 0.5, "sadness": 0.5}'
JUDGED = [
    beam(0, SAD, (1, 2), 0.4, verifier_score=0.3, verifier_call=0, verifier_tokens=9),
    beam(1, SAD, (1, 8, 9), 0.3, verifier_score=0.3, verifier_call=0, verifier_tokens=9),
    beam(2, ANGRY, (3, 4), 0.2, verifier_score=0.9, verifier_call=1, verifier_tokens=9),
    beam(3, MIXED, (5,), 0.1, verifier_score=0.4, verifier_call=2, verifier_tokens=9),
]
GREEDY = dataclasses.replace(JUDGED[0], kind="greedy", beam_count=None, prompt_tokens=20)
COT = dataclasses.replace(GREEDY, kind="cot")


def predicted(hypotheses, strategy, sub_beams=None, **settings):
    variant = Variant(strategy, strategy, Settings(**settings), sub_beams)
    tokens = EmotionTokens((), (), ())
    (prediction,) = predict_variants([GREEDY, COT, *hypotheses], [variant], LABELS, tokens)
    return prediction


@pytest.mark.parametrize("length_normalised", [False, True])
@pytest.mark.parametrize("sub_beams", [None, 1, 2])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_setting_merges_before_a_strategy_looks(strategy, sub_beams, length_normalised):
    named = {"sub_beams": sub_beams, "length_normalised": length_normalised}
    found = predicted(JUDGED, strategy, merge_tokenisations=True, **named)
    expected = predicted(merge_tokenisations(JUDGED), strategy, **named)
    assert (found.probs is None) == (expected.probs is None)
    if found.probs is not None:
        np.testing.assert_array_equal(found.probs, expected.probs)
        assert found.total_uncertainty == expected.total_uncertainty


def test_it_shows_where_parts_of_a_search_are_read():
    two = {"sub_beams": 2}
    assert predicted(JUDGED, "w_bon", **two).probs.tolist() == [0.0, 1.0]
    merged = predicted(JUDGED, "w_bon", merge_tokenisations=True, **two)
    np.testing.assert_allclose(merged.probs, [0.2 / 0.9, 0.7 / 0.9])


def test_a_judgement_counts_once_for_every_text():
    plain = predicted(JUDGED, "w_alm_v")
    np.testing.assert_allclose(plain.probs, np.array([1.1, 0.8]) / 1.9)
    merged = predicted(JUDGED, "w_alm_v", merge_tokenisations=True)
    np.testing.assert_allclose(merged.probs, np.array([1.1, 0.5]) / 1.6)


def test_what_was_written_is_paid_for_all_the_same():
    beams = [dataclasses.replace(one, prompt_tokens=20) for one in JUDGED]
    for strategy in ("w_bon", "w_alm_v"):
        costs = [
            (one.model_tokens, one.verifier_calls)
            for one in (
                predicted(beams, strategy),
                predicted(beams, strategy, merge_tokenisations=True),
            )
        ]
        assert costs[0] == costs[1]
        assert costs[0][0] == 20 + 2 + 3 + 2 + 1 + (27 if strategy == "w_alm_v" else 0)
