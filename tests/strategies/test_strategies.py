from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.records import EmotionTokens, EmotionWord, Hypothesis, Prediction
from raypipe.strategies import STRATEGIES, Settings, predict

LABELS = LabelSet(("anger", "sadness"))
TOKENS = EmotionTokens(
    (EmotionWord("anger", "anger", (10,)), EmotionWord("sadness", "sad", (20,))),
    (10, 20),
    ("anger", "sad"),
)
SETTINGS = Settings()


def hypothesis(
    text: str = '{"anger": 0.5, "sadness": 0.5}',
    *,
    kind: str = "beam",
    rank: int = 0,
    alpha: float | None = None,
    score: float | None = None,
    logits: list[list[float]] | None = None,
    token_ids: tuple[int, ...] = (10, 20, 2),
) -> Hypothesis:
    recorded = None if logits is None else np.array(logits, dtype=np.float32)
    return Hypothesis(
        kind,  # type: ignore[arg-type]
        rank,
        text,
        token_ids,
        None,
        alpha,
        "stop",
        recorded,
        verifier_score=score,
    )


GREEDY = hypothesis(
    '{"anger": 0.9, "sadness": 0.1}', kind="greedy", logits=[[6.0, 2.0], [6.0, 2.0], [-9, -9]]
)
BEAMS = [
    hypothesis("Anger: 80%, Sadness: 20%", rank=0, alpha=float(np.log(0.6)), score=0.2),
    hypothesis('{"anger": 0.4, "sadness": 0.6}', rank=1, alpha=float(np.log(0.3)), score=0.6),
    hypothesis("hm", rank=2, alpha=float(np.log(0.2)), score=0.9),
    hypothesis('{"anger": 0.1, "sadness": 0.9}', rank=3, alpha=float(np.log(0.1))),
]


def one(strategy: str, hypotheses: list[Hypothesis], **settings: object) -> Prediction:
    (prediction,) = predict(hypotheses, [strategy], LABELS, TOKENS, SETTINGS.changed(**settings))
    assert prediction.strategy == strategy
    return prediction


def test_predictions_come_in_the_order_asked_for() -> None:
    names = ["w_bon", "greedy", "token"]
    predictions = predict([GREEDY, *BEAMS], names, LABELS, TOKENS, SETTINGS)
    assert [prediction.strategy for prediction in predictions] == names
    assert all(prediction.valid for prediction in predictions)


def test_greedy_is_the_greedy_answer_with_its_uncertainty() -> None:
    prediction = one("greedy", [*BEAMS, GREEDY])
    np.testing.assert_allclose(prediction.probs, [0.9, 0.1])
    assert prediction.parse_rule == "json"
    assert prediction.entropy == pytest.approx(stats.entropy([0.9, 0.1], base=2))
    assert prediction.total_uncertainty == pytest.approx(stats.entropy([0.9, 0.1]))
    assert prediction.epistemic_uncertainty is not None
    assert prediction.epistemic_uncertainty > 0.0


def test_bon_takes_the_most_likely_valid_beam() -> None:
    np.testing.assert_allclose(one("bon", [GREEDY, *reversed(BEAMS)]).probs, [0.8, 0.2])
    broken = [replace(BEAMS[0], text="hm"), *BEAMS[1:]]
    np.testing.assert_allclose(one("bon", broken).probs, [0.4, 0.6])


def test_w_bon_mixes_the_valid_beams_by_renormalised_likelihood() -> None:
    prediction = one("w_bon", BEAMS)
    np.testing.assert_allclose(prediction.probs, [0.6 * 0.8 + 0.3 * 0.4 + 0.1 * 0.1, 0.39])
    assert prediction.parse_rule == "percent_list+json"
    assert prediction.total_uncertainty == pytest.approx(stats.entropy([0.61, 0.39]))


def test_samples_without_alpha_weigh_the_same_and_the_prediction_says_so() -> None:
    beams = [replace(beam, alpha=None, alpha_kind="none", sampled=True) for beam in BEAMS]
    mixed = one("w_bon", beams)
    np.testing.assert_allclose(mixed.probs, [(0.8 + 0.4 + 0.1) / 3, (0.2 + 0.6 + 0.9) / 3])
    assert mixed.weighting == "uniform"
    assert one("bon", beams).invalid_reason == "no_alpha"
    assert one("w_bon", [replace(beams[2])]).invalid_reason == "no_valid_beam"
    assert one("w_bon", BEAMS).weighting == "alpha"
    assert one("w_alm_v", BEAMS).weighting == "verifier"
    assert one("bon", BEAMS).weighting is None


def test_length_is_known_where_an_endpoint_tells_no_ids() -> None:
    told = [replace(beam, token_ids=(), step_count=3) for beam in BEAMS]
    expected = one("w_bon", BEAMS, length_normalised=True)
    np.testing.assert_array_equal(one("w_bon", told, length_normalised=True).probs, expected.probs)


def test_logprobs_serve_token_softmax_as_logits_do_and_token_not_at_all() -> None:
    raw = np.array([[3.0, -1.0], [2.0, 0.5], [-9.0, -9.0]])
    logprobs = raw - np.log(np.exp(raw).sum(axis=1, keepdims=True) + 40.0)
    by_logits = hypothesis(kind="greedy", logits=raw.tolist())
    by_logprobs = replace(
        by_logits, emotion_logits=logprobs.astype(np.float32), emotion_kind="logprob"
    )
    np.testing.assert_allclose(
        one("token_softmax", [by_logprobs]).probs, one("token_softmax", [by_logits]).probs, 1e-6
    )
    assert one("token", [by_logprobs]).invalid_reason == "no_raw_logits"
    gap = logprobs.astype(np.float32)
    gap[1, 0] = np.nan
    incomplete = replace(by_logprobs, emotion_logits=gap)
    assert one("token_softmax", [incomplete]).invalid_reason == "logprobs_incomplete"


def test_the_last_step_is_text_where_an_endpoint_leaves_out_the_end() -> None:
    whole = hypothesis(kind="greedy", logits=[[6.0, 2.0], [2.0, 6.0], [9.0, 0.0]])
    without = replace(whole, alpha_kind="sum_logprob_without_end")
    np.testing.assert_allclose(one("token", [whole]).probs, [0.5, 0.5])
    np.testing.assert_allclose(one("token", [without]).probs, [17 / 25, 8 / 25])


@pytest.mark.parametrize("reason", ["refusal", "content_filter"])
def test_a_refusal_is_no_answer_whatever_it_says(reason: str) -> None:
    refused = replace(GREEDY, finish_reason=reason)  # type: ignore[arg-type]
    prediction = one("greedy", [refused])
    assert (prediction.valid, prediction.invalid_reason) == (False, reason)


def test_length_normalised_alpha_changes_ranks_and_weights() -> None:
    short = hypothesis('{"anger": 1}', rank=0, alpha=-4.0, token_ids=(1, 2))
    long = hypothesis('{"sad": 1}', rank=1, alpha=-5.0, token_ids=(1,) * 10)
    np.testing.assert_allclose(one("bon", [short, long]).probs, [1.0, 0.0])
    np.testing.assert_allclose(one("bon", [short, long], length_normalised=True).probs, [0.0, 1.0])
    weights = np.exp([-2.0, -0.5]) / np.exp([-2.0, -0.5]).sum()
    np.testing.assert_allclose(one("w_bon", [short, long], length_normalised=True).probs, weights)


def test_alm_v_takes_the_best_scored_valid_beam() -> None:
    # The beam scored 0.9 is unreadable, the last one has no score.
    np.testing.assert_allclose(one("alm_v", BEAMS).probs, [0.4, 0.6])


def test_w_alm_v_mixes_scored_valid_beams_by_score() -> None:
    np.testing.assert_allclose(one("w_alm_v", BEAMS).probs, [0.25 * 0.8 + 0.75 * 0.4, 0.5])


def covariance_by_moments(weights: np.ndarray, probs: np.ndarray, tau: float) -> np.ndarray:
    """E[p p^T] - E[p] E[p]^T, the second moments of every component from scipy."""
    parts = [stats.dirichlet(tau * share) for share in probs]
    second = sum(
        weight * (part.cov() + np.outer(part.mean(), part.mean()))
        for weight, part in zip(weights, parts, strict=True)
    )
    mean = weights @ probs
    return np.asarray(second - np.outer(mean, mean))


@pytest.mark.parametrize("tau", [0.5, 1.0, 8.0])
def test_w_alm_v_is_the_dirichlet_mixture_of_the_scored_valid_beams(tau: float) -> None:
    # Scores 0.2 and 0.6 make weights 1/4 and 3/4; the unreadable and the unscored beam drop out.
    weights, probs = np.array([0.25, 0.75]), np.array([[0.8, 0.2], [0.4, 0.6]])
    mixed = one("w_alm_v", BEAMS, tau=tau)
    expected = sum(
        weight * (special.digamma(tau + 1) - share @ special.digamma(tau * share + 1))
        for weight, share in zip(weights, probs, strict=True)
    )
    total = stats.entropy(weights @ probs)
    assert mixed.total_uncertainty == pytest.approx(total)
    assert mixed.aleatoric_uncertainty == pytest.approx(expected)
    assert mixed.epistemic_uncertainty == pytest.approx(total - expected)
    np.testing.assert_allclose(mixed.covariance, covariance_by_moments(weights, probs, tau))
    chosen = one("alm_v", BEAMS, tau=tau)
    np.testing.assert_allclose(chosen.covariance, stats.dirichlet(tau * probs[1]).cov())
    alone = special.digamma(tau + 1) - probs[1] @ special.digamma(tau * probs[1] + 1)
    assert chosen.aleatoric_uncertainty == pytest.approx(alone)


@pytest.mark.parametrize("missing", [None, float("nan"), -0.1, 1.5])
def test_a_beam_without_a_usable_score_weighs_nothing(missing: float | None) -> None:
    beams = [
        replace(BEAMS[0], verifier_score=missing),
        BEAMS[1],
        replace(BEAMS[3], verifier_score=0.3),
    ]
    np.testing.assert_allclose(
        one("w_alm_v", beams).probs, [(2 * 0.4 + 0.1) / 3, (2 * 0.6 + 0.9) / 3]
    )
    alone = one("w_alm_v", beams[:2])
    np.testing.assert_allclose(alone.probs, [0.4, 0.6])
    assert alone.parse_rule == "json"
    assert one("w_alm_v", beams[:1]).invalid_reason == "no_scores"


def test_a_verifier_that_trusts_nothing_weighs_all_alike() -> None:
    beams = [replace(beam, verifier_score=0.0) for beam in BEAMS[:2]]
    np.testing.assert_allclose(one("w_alm_v", beams).probs, [0.6, 0.4])
    np.testing.assert_allclose(one("alm_v", beams).probs, [0.8, 0.2])


def test_token_divides_the_mean_logits_of_the_text_steps() -> None:
    prediction = one("token", [GREEDY])
    np.testing.assert_allclose(prediction.probs, [0.75, 0.25])
    assert (prediction.parse_rule, prediction.total_uncertainty) == (None, None)
    assert prediction.entropy == pytest.approx(stats.entropy([0.75, 0.25], base=2))


def test_token_softmax_serves_what_token_cannot() -> None:
    negative = replace(GREEDY, emotion_logits=np.array([[1.0, -1.0]] * 3, dtype=np.float32))
    assert one("token", [negative]).invalid_reason == "non_positive_logit"
    soft = one("token_softmax", [negative], token_temperature=2.0)
    np.testing.assert_allclose(soft.probs, np.exp([1.0, 0.0]) / (np.e + 1.0))


def test_token_reads_the_best_beam_where_there_is_no_greedy_answer() -> None:
    beam = hypothesis(rank=0, logits=[[3.0, 1.0]] * 3)
    np.testing.assert_allclose(one("token", [replace(beam, rank=1), beam]).probs, [0.75, 0.25])


def test_words_averages_only_emotion_word_steps() -> None:
    mixed = hypothesis(kind="greedy", token_ids=(10, 7, 2), logits=[[3, 1], [9, 1], [0, 0]])
    np.testing.assert_allclose(one("token", [mixed], token_steps="words").probs, [0.75, 0.25])
    none = replace(mixed, token_ids=(7, 7, 2))
    assert one("token", [none], token_steps="words").invalid_reason == "no_emotion_word"


@pytest.mark.parametrize(
    ("strategy", "hypotheses", "reason"),
    [
        ("greedy", BEAMS, "no_greedy"),
        ("greedy", [], "no_greedy"),
        ("bon", [GREEDY], "no_beams"),
        ("w_bon", [GREEDY], "no_beams"),
        ("bon", [hypothesis()], "no_alpha"),
        ("w_bon", [hypothesis(alpha=-1.0), hypothesis(rank=1)], "no_alpha"),
        ("w_bon", [hypothesis(alpha=float("nan"))], "not_finite"),
        ("bon", [hypothesis("hm", alpha=-1.0)], "no_valid_beam"),
        ("w_alm_v", [hypothesis("hm", score=0.5)], "no_valid_beam"),
        ("alm_v", [GREEDY], "no_beams"),
        ("alm_v", [hypothesis(alpha=-1.0)], "no_scores"),
        ("w_alm_v", [hypothesis(score=float("nan"))], "no_scores"),
        ("token", [], "no_logits"),
        ("token", [hypothesis(kind="greedy")], "no_logits"),
        ("token_softmax", [hypothesis(kind="greedy")], "no_logits"),
        ("token", [hypothesis(token_ids=(2,), logits=[[1, 1]])], "no_steps"),
        ("token_softmax", [hypothesis(logits=[[np.inf, 1]] * 3)], "not_finite"),
    ],
)
def test_what_the_hypotheses_cannot_serve_is_invalid_with_its_reason(
    strategy: str, hypotheses: list[Hypothesis], reason: str
) -> None:
    prediction = one(strategy, hypotheses)
    assert prediction.probs is None
    assert prediction.invalid_reason == reason
    assert prediction.entropy is None


def test_an_unreadable_answer_keeps_the_parsers_rule_and_reason() -> None:
    prediction = one("greedy", [replace(GREEDY, text='{"anger": -1, "sad": 2}')])
    assert (prediction.parse_rule, prediction.invalid_reason) == ("json", "negative")


def test_a_label_without_tokens_makes_the_token_strategies_invalid() -> None:
    labels = LabelSet(("anger", "fear"))
    (prediction,) = predict([GREEDY], ["token"], labels, TOKENS, SETTINGS)
    assert prediction.invalid_reason == "no_label_tokens"


def test_every_strategy_gives_a_distribution_or_a_reason() -> None:
    for hypotheses in ([], [GREEDY], BEAMS, [GREEDY, *BEAMS]):
        for prediction in predict(hypotheses, list(STRATEGIES), LABELS, TOKENS, SETTINGS):
            assert prediction.valid == (prediction.invalid_reason is None)
            if prediction.probs is not None:
                assert prediction.probs.sum() == pytest.approx(1.0, abs=1e-12)


def test_unknown_strategies_and_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="best_of"):
        predict([GREEDY], ["best_of"], LABELS, TOKENS, SETTINGS)
    with pytest.raises(ConfigError, match="tau"):
        Settings(tau=0.0)
    with pytest.raises(ConfigError, match="token_steps"):
        Settings(token_steps="some")
    with pytest.raises(ConfigError, match=r"unknown settings.*temperature_of_tokens"):
        Settings(temperature_of_tokens=1.0)
