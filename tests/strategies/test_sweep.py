from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from made_up_hypotheses import chosen, closed_form, example_answers, predictions

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.records import EmotionTokens, EmotionWord, Hypothesis, Prediction
from raypipe.strategies import (
    SETTINGS,
    STRATEGIES,
    Settings,
    Strategy,
    Variant,
    predict,
    predict_variants,
)
from raypipe.strategies.reading import BEAM_CHOICES
from raypipe.strategies.sweep import Sweep, compared, used_settings

LABELS = LabelSet(("anger", "sadness"))
TOKENS = EmotionTokens(
    (EmotionWord("anger", "anger", (10,)), EmotionWord("sadness", "sad", (20,))),
    (10, 20),
    ("anger", "sad"),
)


def hypothesis(kind: str, rank: int, share: float, alpha: float, steps: int) -> Hypothesis:
    logits = np.linspace(1.0, 3.0 + rank, 2 * steps, dtype=np.float32).reshape(steps, 2)
    return Hypothesis(
        kind,  # type: ignore[arg-type]
        rank,
        f'{{"anger": {share}, "sadness": {1 - share:.2f}}}',
        tuple([10, 5] * steps)[:steps],
        None,
        alpha,
        "length",
        logits,
        verifier_score=0.2 + 0.2 * rank,
    )


HYPOTHESES = [
    hypothesis("greedy", 0, 0.9, -1.0, 3),
    hypothesis("cot", 0, 0.6, -7.0, 12),
    hypothesis("beam", 0, 0.7, -4.0, 2),
    hypothesis("beam", 1, 0.2, -4.5, 9),
    hypothesis("beam", 2, 0.4, -3.9, 4),  # best by alpha and by score, not by rank
]
# The greedy answer's entropy is 0.469 bits: under AMBIGUOUS adaptive reads the beams.
# And pool is of strategies that have an uncertainty.
AMBIGUOUS = Settings(threshold=0.1, of="greedy+w_bon")


def as_values(prediction: Prediction) -> tuple[object, ...]:
    probs = None if prediction.probs is None else tuple(prediction.probs.tolist())
    uncertainty = prediction.aleatoric_uncertainty, prediction.epistemic_uncertainty
    return probs, *uncertainty, prediction.label_set


def under(strategy: str, sub_beams: int | None = None, **changes: object) -> tuple[object, ...]:
    settings = AMBIGUOUS.changed(**changes)
    declared = STRATEGIES[strategy]
    if isinstance(declared, Strategy) and declared.reads_options:
        chose = [chosen("A", item) if item.kind == "greedy" else item for item in HYPOTHESES]
        return as_values(closed_form(strategy, chose, **settings.by_name()))
    variant = Variant("x", strategy, settings, sub_beams)
    (prediction,) = predictions(answers_of_all_kinds(), [variant])
    assert prediction.valid
    return as_values(prediction)


CHANGED = {
    "sub_beams": 2,
    **{
        name: next(value for value in setting.examples if value != AMBIGUOUS.by_name()[name])
        for name, setting in SETTINGS.items()
    },
}
# What these hypotheses are too few to show: no two beams write one text, and of adaptive's own
# settings those that lead to the same part change nothing. None names a label outside the set.
UNSHOWN = {"merge_tokenisations", "cheap", "max_dropped_share"}
# A set of one label of two is the same under two thresholds that are close to each other.
UNSHOWN_IN_SETS = {"fit_on", "fit_folds", "covers"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_depends_on_the_settings_it_names_and_on_no_other(strategy: str) -> None:
    plain = under(strategy)
    used = Variant("x", strategy, AMBIGUOUS).settings_used
    for name, value in CHANGED.items():
        changed = under(strategy, **{name: value})
        if name not in used:
            assert changed == plain, name
        elif name not in (UNSHOWN | UNSHOWN_IN_SETS if strategy == "conformal" else UNSHOWN):
            assert changed != plain, name


def answers_of_all_kinds() -> list[Hypothesis]:
    """The made-up answers of this file, a beam with one of their texts, and other kinds."""
    kinds = {item.kind for item in HYPOTHESES}
    others = [answer for answer in example_answers() if answer.kind not in kinds]
    twice = replace(HYPOTHESES[2], rank=3, token_ids=(7, 7, 7), alpha=-4.2, emotion_logits=None)
    text = '{"anger": 0.5, "sadness": 0.3, "awe": 0.2}'
    strange = replace(twice, rank=4, text=text, token_ids=(7, 8, 9), alpha=-4.3)
    return [*HYPOTHESES, twice, strange, *others]


def over_examples(strategy: str, name: str, base: Settings = AMBIGUOUS) -> tuple[Variant, ...]:
    """The strategy under the two examples of a setting; one if it does not use it."""
    if name == "threshold":
        base = Settings()
    values = {key: (value,) for key, value in base.by_name().items()}
    return tuple(Sweep([strategy], 4, **{**values, name: SETTINGS[name].examples}).variants())


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_sweep_over_any_setting_gives_what_single_runs_give(strategy: str, name: str) -> None:
    """Every setting of every strategy, from the registry: a new one is swept here unasked."""
    setting = SETTINGS[name]
    variants = over_examples(strategy, name)
    used = name in variants[0].settings_used
    assert len(variants) == (2 if used else 1)
    hypotheses = answers_of_all_kinds()
    swept = predictions(hypotheses, variants)
    for variant, prediction in zip(variants, swept, strict=True):
        alone = Variant(variant.name, strategy, variant.settings, variant.sub_beams)
        (single,) = predictions(hypotheses, [alone])
        assert repr(prediction) == repr(single)
        assert not used or f"{name}=" in variant.name
        if used:
            assert variant.settings.by_name()[name] in setting.examples


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_changes_distributions_only_where_it_says_so(name: str) -> None:
    changed = []
    clear = AMBIGUOUS.changed(threshold=99.0)  # adaptive answers with its cheap strategy
    for strategy, base in product(STRATEGIES, (AMBIGUOUS, clear)):
        variants = over_examples(strategy, name, base)
        first, *others = predictions(answers_of_all_kinds(), variants)
        for other in others:
            same = (first.probs is None) == (other.probs is None)
            if same and first.probs is not None and other.probs is not None:
                same = np.allclose(first.probs, other.probs, rtol=0, atol=1e-12)
            changed += [] if same else [strategy]
    assert bool(changed) is SETTINGS[name].changes_probs, (
        f"setting {name} has changes_probs={SETTINGS[name].changes_probs}; it changes the "
        f"distribution of: {', '.join(changed) or 'no strategy'}"
    )


def test_every_setting_belongs_to_a_strategy_and_can_be_swept() -> None:
    used = {
        name for strategy in STRATEGIES for name in Variant("x", strategy, AMBIGUOUS).settings_used
    }
    assert used - set(BEAM_CHOICES) == set(SETTINGS)


def test_one_value_each_gives_the_strategies_under_their_own_names() -> None:
    names = ("greedy", "token", "token_softmax", "bon", "w_bon")
    variants = Sweep(names, 3, tau=(2.0,), token_steps=("words",)).variants()
    assert [variant.name for variant in variants] == list(names)
    settings = Settings(tau=2.0, token_steps="words")
    swept = predict_variants(HYPOTHESES, variants, LABELS, TOKENS)
    plain = predict(HYPOTHESES, names, LABELS, TOKENS, settings)
    assert [as_values(one) for one in swept] == [as_values(one) for one in plain]


def test_names_say_what_a_sweep_varies() -> None:
    sweep = Sweep(
        ("greedy", "token", "token_softmax", "w_bon"),
        5,
        tau=(0.5, 1.0),
        token_steps=("all", "words"),
        length_normalised=(False, True),
        sub_beams=(3,),
    )
    assert [variant.name for variant in sweep.variants()] == [
        "greedy[tau=0.5]",
        "greedy[tau=1]",
        "token[token_steps=all]",
        "token[token_steps=words]",
        "token_softmax[token_steps=all]",
        "token_softmax[token_steps=words]",
        "w_bon[beams=3of5,length_normalised=false,tau=0.5]",
        "w_bon[beams=3of5,length_normalised=false,tau=1]",
        "w_bon[beams=3of5,length_normalised=true,tau=0.5]",
        "w_bon[beams=3of5,length_normalised=true,tau=1]",
    ]
    assert used_settings(sweep.variants()[-1]) == {
        "beam_count": None,
        "sub_beams": 3,
        "max_dropped_share": 0.5,
        "merge_tokenisations": False,
        "length_normalised": True,
        "tau": 1.0,
    }


def test_a_search_that_was_made_is_told_from_a_part_of_a_wider_one() -> None:
    sweep = Sweep(("greedy", "w_bon"), 5, sub_beams=(3, 5), beam_counts=(3,))
    variants = sweep.variants()
    assert [variant.name for variant in variants] == [
        "greedy",
        "w_bon[beams=3of5]",
        "w_bon[beams=5of5]",
        "w_bon[beams=3]",
    ]
    assert [variant.beam_count for variant in variants] == [5, 5, 5, 3]
    assert ("w_bon[beams=3]", "w_bon[beams=3of5]") in compared(variants)


def test_other_searches_stand_beside_the_main_one_under_its_plain_name() -> None:
    beside = Sweep(("bon",), 5, beam_counts=(7, 3)).variants()
    assert [variant.name for variant in beside] == ["bon", "bon[beams=7]", "bon[beams=3]"]
    wider = [
        replace(one, beam_count=width)
        for width, count in ((5, 3), (7, 2))
        for one in HYPOTHESES[2 : 2 + count]
    ]
    main, other, absent = predict_variants(wider, beside, LABELS, TOKENS)
    np.testing.assert_allclose(main.probs, [0.4, 0.6])
    np.testing.assert_allclose(other.probs, [0.7, 0.3])
    assert absent.invalid_reason == "no_beams"


def test_adaptive_is_swept_over_its_own_settings_and_those_of_its_strategies() -> None:
    sweep = Sweep(
        ("greedy", "adaptive"),
        5,
        token_steps=("all", "words"),
        length_normalised=(False, True),
        expensive=("cot", "w_bon"),
        threshold=(0.0, 0.5),
    )
    assert [variant.name for variant in sweep.variants()] == [
        "greedy",
        "adaptive[expensive=cot,threshold=0]",
        "adaptive[expensive=cot,threshold=0.5]",
        "adaptive[length_normalised=false,expensive=w_bon,threshold=0]",
        "adaptive[length_normalised=true,expensive=w_bon,threshold=0]",
        "adaptive[length_normalised=false,expensive=w_bon,threshold=0.5]",
        "adaptive[length_normalised=true,expensive=w_bon,threshold=0.5]",
    ]
    assert used_settings(sweep.variants()[-1]) == {
        "tau": 1.0,
        "beam_count": None,
        "sub_beams": None,
        "max_dropped_share": 0.5,
        "merge_tokenisations": False,
        "length_normalised": True,
        "cheap": "greedy",
        "expensive": "w_bon",
        "threshold": 0.5,
    }


def test_a_swept_threshold_decides_as_a_single_one_does() -> None:
    sweep = Sweep(("adaptive",), 3, threshold=(0.1, 2.0))
    found = predict_variants(HYPOTHESES, sweep.variants(), LABELS, TOKENS)
    assert [one.escalated for one in found] == [True, False]
    for one, threshold in zip(found, (0.1, 2.0), strict=True):
        settings = Settings(threshold=threshold)
        (alone,) = predict(HYPOTHESES, ["adaptive"], LABELS, TOKENS, settings)
        assert as_values(one) == as_values(alone)


def test_a_fitted_strategy_is_swept_over_its_settings_and_those_of_its_base() -> None:
    sweep = Sweep(
        ("calibrate",),
        5,
        base=("token", "w_bon", "pool"),
        of=("greedy+bon", "greedy+cot"),
        length_normalised=(False, True),
        sub_beams=(3,),
    )
    assert [variant.name for variant in sweep.variants()] == [
        "calibrate[base=token]",
        "calibrate[beams=3of5,length_normalised=false,base=w_bon]",
        "calibrate[beams=3of5,length_normalised=true,base=w_bon]",
        "calibrate[beams=3of5,length_normalised=false,of=greedy+bon,base=pool]",
        "calibrate[beams=3of5,length_normalised=true,of=greedy+bon,base=pool]",
        "calibrate[of=greedy+cot,base=pool]",
    ]
    assert [variant.base.strategy for variant in sweep.variants()][::2] == [
        "token",
        "w_bon",
        "pool",
    ]
    assert sweep.variants()[1].base.name == sweep.variants()[1].name


def test_close_values_keep_names_of_their_own() -> None:
    values = (0.1, 0.1 + 2**-50, 1e-9, 1e300, 3.0)
    names = [variant.name for variant in Sweep(("w_bon",), 5, tau=values).variants()]
    assert len(set(names)) == len(values)
    assert names[-1] == "w_bon[tau=3]"


def test_sub_beams_are_the_first_by_rank() -> None:
    variants = Sweep(("bon", "w_bon"), 3, sub_beams=(1, 3)).variants()
    one, all_beams, mixed_one, mixed_all = predict_variants(
        list(reversed(HYPOTHESES)), variants, LABELS, TOKENS
    )
    np.testing.assert_allclose(one.probs, [0.7, 0.3])
    np.testing.assert_allclose(mixed_one.probs, [0.7, 0.3])
    bon, w_bon = predict(HYPOTHESES, ["bon", "w_bon"], LABELS, TOKENS, Settings())
    assert as_values(all_beams) == as_values(bon)
    assert as_values(mixed_all) == as_values(w_bon)
    assert mixed_all.strategy == "w_bon[beams=3of3]"


def test_without_a_sweep_all_strategies_are_compared() -> None:
    names = tuple(STRATEGIES)
    every = {tuple(sorted(pair)) for pair in combinations(names, 2)}
    assert compared(Sweep(names, 5, tau=(3.0,)).variants()) == every


def test_readings_that_differ_in_one_choice_are_compared() -> None:
    sweep = Sweep(("greedy", "w_bon"), 5, tau=(1.0, 2.0), sub_beams=(2, 5))
    assert compared(sweep.variants()) == {
        ("greedy[tau=1]", "w_bon[beams=2of5,tau=1]"),
        ("greedy[tau=1]", "w_bon[beams=5of5,tau=1]"),
        ("greedy[tau=2]", "w_bon[beams=2of5,tau=2]"),
        ("greedy[tau=2]", "w_bon[beams=5of5,tau=2]"),
        ("w_bon[beams=2of5,tau=1]", "w_bon[beams=5of5,tau=1]"),
        ("w_bon[beams=2of5,tau=2]", "w_bon[beams=5of5,tau=2]"),
    }


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"strategies": ("best_of",)}, "best_of"),
        ({"strategies": ("bon", "bon")}, "strategies: give each value once, got bon, bon"),
        ({"strategies": ()}, "strategies: give at least one"),
        ({"tau": (1.0, 1.0)}, "tau: give each value once, got 1, 1"),
        ({"tau": (0.0,)}, "tau"),
        ({"token_steps": ("some",), "strategies": ("token",)}, "token_steps"),
        ({"token_temperature": (-1.0,), "strategies": ("token_softmax",)}, "token_temperature"),
        ({"sub_beams": (0,)}, "0 cannot be read from a search with 5 beams"),
        ({"beam_counts": (3, 3)}, "beam_counts: give each value once"),
        ({"beam_counts": (5,)}, "5 is the main search"),
        ({"beam_counts": (0,)}, "beam_count is 1 or more"),
        ({"strategies": ("adaptive",), "threshold": (-1.0,)}, "threshold"),
        ({"strategies": ("adaptive",), "expensive": ("bon", "greedy")}, "needs two strategies"),
        ({"strategies": ("adaptive",), "cheap": ("best",)}, "unknown strategy 'best'"),
        ({"sub_beams": (4, 6)}, "6 cannot be read from a search with 5 beams"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Sweep(**{"strategies": ("w_bon",), "beam_count": 5, **settings})  # type: ignore[arg-type]
