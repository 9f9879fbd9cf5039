import time
from functools import reduce

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sklearn_metrics
from tables_of_predictions import CREMA_D, crema_d_votes, predictions_table, random_votes

from raypipe.errors import AccountingError
from raypipe.labels import LabelSet
from raypipe.metrics.auroc import auroc
from raypipe.metrics.baselines import prior, uniform
from raypipe.metrics.bins import equal_count, equal_width
from raypipe.metrics.bootstrap import interval, poisson_weights
from raypipe.metrics.catalogue.annotators import annotator_counts
from raypipe.metrics.catalogue.brier import brier_score
from raypipe.metrics.catalogue.ece import debiased_calibration_error
from raypipe.metrics.catalogue.threshold import threshold_counts
from raypipe.metrics.classification import macro_f1
from raypipe.metrics.distribution import entropy_bits
from raypipe.metrics.reduce import CorpusSummary, MetricRow, MetricState
from raypipe.metrics.registry import COLUMNS, per_utterance
from raypipe.store.metric_tables import confusion_table, metrics_table
from raypipe.store.schemas import METRICS

LABELS = LabelSet(("anger", "fear", "neutral", "sadness"))
COUNT, REPLICATES, SEED = 400, 60, 5
RNG = np.random.default_rng(12)
IDS = [f"u{number:04d}" for number in range(COUNT)]
VOTES = random_votes(COUNT, 4, seed=1)
VOTES[::29] = 0.0  # unlabelled
SPEAKERS = [f"s{number % 9}" for number in range(COUNT)]
SPLITS = ["train" if number % 3 else "test" for number in range(COUNT)]
SOFT = VOTES / np.maximum(VOTES.sum(axis=1, keepdims=True), 1.0)
LABELLED = VOTES.any(axis=1)


def some_predictions() -> dict[str, np.ndarray]:
    good = 0.6 * np.where(LABELLED[:, None], SOFT, 0.25) + 0.4 * RNG.dirichlet(np.ones(4), COUNT)
    rough = np.eye(4)[RNG.integers(0, 4, COUNT)]
    good[RNG.random(COUNT) < 0.1] = np.nan
    rough[RNG.random(COUNT) < 0.2] = np.nan
    rough[7] = 0.25
    return {"w_bon": good, "greedy": rough}


PREDICTIONS = some_predictions()
TABLE = predictions_table(IDS, VOTES, PREDICTIONS, LABELS, speakers=SPEAKERS, splits=SPLITS)


def reduce_tables(tables: list[pa.Table], **options: object) -> MetricState:
    settings = {"replicates": REPLICATES, "seed": SEED} | options
    summary = reduce(
        lambda left, right: left.merge(right),
        [CorpusSummary.from_table(table, LABELS) for table in tables],
    )
    states = [
        MetricState.from_table(table, summary.frame, LABELS, **settings)  # type: ignore[arg-type]
        for table in tables
    ]
    return reduce(lambda left, right: left.merge(right), states)


@pytest.fixture(scope="module")
def state() -> MetricState:
    return reduce_tables([TABLE], per_speaker=True)


@pytest.fixture(scope="module")
def rows(state: MetricState) -> dict[tuple[str, str, str, str | None], MetricRow]:
    return {(row.strategy, row.slice, row.metric, row.versus): row for row in state.finish()}


Rows = dict[tuple[str, str, str, str | None], MetricRow]


def rows_of(slice_name: str) -> np.ndarray:
    """The labelled utterances of a slice, found without the code under test."""
    entropy = entropy_bits(SOFT[LABELLED])
    names = [name for name, known in zip(IDS, LABELLED, strict=True) if known]
    inside = np.zeros(COUNT, dtype=bool)
    if slice_name == "all":
        return LABELLED
    if slice_name == "majority":
        return LABELLED & (SOFT.max(axis=1) > 0.5)
    if slice_name.startswith("ambiguity_count"):
        inside[LABELLED] = equal_count(entropy, names) == int(slice_name[-1]) - 1
    elif slice_name.startswith("ambiguity_width"):
        inside[LABELLED] = equal_width(entropy, 4) == int(slice_name[-1]) - 1
    elif slice_name.startswith("label="):
        inside = plurality() == LABELS.names.index(slice_name[6:])
    elif slice_name.startswith("split="):
        inside = LABELLED & (np.array(SPLITS) == slice_name[6:])
    else:
        inside = LABELLED & (np.array(SPEAKERS) == slice_name[8:])
    return inside


def plurality() -> np.ndarray:
    tied = (VOTES.max(axis=1, keepdims=True) == VOTES).sum(axis=1) > 1
    return np.where(tied | ~LABELLED, -1, VOTES.argmax(axis=1))


SLICES = ["all", "majority", "label=fear", "split=test", "ambiguity_count_1", "ambiguity_count_4"]
SLICES += ["ambiguity_width_5", "speaker=s3"]


@pytest.mark.parametrize("slice_name", SLICES)
@pytest.mark.parametrize("strategy", ["w_bon", "greedy"])
def test_values_agree_with_the_plain_functions(rows: Rows, strategy: str, slice_name: str) -> None:
    inside = rows_of(slice_name)
    probs = PREDICTIONS[strategy]
    valid = inside & ~np.isnan(probs).any(axis=1)
    filled = np.where(np.isnan(probs), 0.25, probs)
    columns = per_utterance(SOFT[valid], probs[valid])
    everywhere = per_utterance(SOFT[inside], filled[inside])

    def value(metric: str) -> float | None:
        row = rows[strategy, slice_name, metric, None]
        assert row.n_invalid == (inside & ~valid).sum() or metric == "invalid_rate"
        return row.value

    for name in COLUMNS:
        assert value(name) == pytest.approx(np.nanmean(columns[name]), abs=1e-9)
    for name in ("js", "js_distance", "bc", "bd", "kl", "r2_det"):
        expected = np.nanmean(everywhere[name])
        assert value(f"{name}.invalid_as_uniform") == pytest.approx(expected, abs=1e-9)
    assert value("r2_undefined") == np.isnan(columns["r2"]).sum()
    assert value("js.median") == pytest.approx(np.median(columns["js"]), abs=1e-9)
    assert value("bc.median") == pytest.approx(np.median(columns["bc"]), abs=1e-9)
    ambiguous = entropy_bits(SOFT) > np.median(entropy_bits(SOFT[LABELLED]))
    expected = auroc(ambiguous[valid], np.round(entropy_bits(probs[valid]), 9))
    assert (value("uncertainty_auroc") or 0.0) == pytest.approx(np.nan_to_num(expected), abs=1e-9)


def leading(probs: np.ndarray) -> np.ndarray:
    """Labels with the largest share, each as often as the others, 12 in all."""
    return np.resize(np.flatnonzero(np.isclose(probs, probs.max(), atol=1e-9)), 12)


@pytest.mark.parametrize("slice_name", ["all", "majority", "split=test", "ambiguity_count_3"])
@pytest.mark.parametrize("strategy", ["w_bon", "greedy"])
def test_label_scores_agree_with_sklearn(rows: Rows, strategy: str, slice_name: str) -> None:
    probs, truth, inside = PREDICTIONS[strategy], plurality(), rows_of(slice_name)
    valid = inside & ~np.isnan(probs).any(axis=1)
    scorable = valid & (truth >= 0)
    confidence = np.nan_to_num(probs).max(axis=1)
    # Labels that tie in a prediction share an utterance: it stands 12 times, with each in turn.
    rows_12 = np.repeat(np.flatnonzero(scorable), 12)
    predicted_12 = np.concatenate([leading(probs[row]) for row in np.flatnonzero(scorable)])
    correct = (truth[rows_12] == predicted_12).reshape(-1, 12).mean(axis=1)
    union = VOTES > 0

    def value(metric: str) -> float | None:
        return rows[strategy, slice_name, metric, None].value

    pairs = truth[rows_12], predicted_12
    assert value("accuracy") == pytest.approx(sklearn_metrics.accuracy_score(*pairs), abs=1e-9)
    macro = sklearn_metrics.f1_score(*pairs, average="macro")
    assert value("macro_f1") == pytest.approx(macro, abs=1e-9)
    per_class = sklearn_metrics.f1_score(*pairs, average=None, labels=range(4))
    for name, expected in zip(LABELS.names, per_class, strict=True):
        assert value(f"f1={name}") == pytest.approx(expected, abs=1e-9)
    assert value("ties") == (valid & (truth < 0)).sum()
    assert value("brier") == pytest.approx(
        brier_score((pairs[0] == pairs[1]).astype(float), confidence[rows_12]), abs=1e-9
    )
    assert value("ece") == pytest.approx(
        debiased_calibration_error(correct, confidence[scorable]), abs=1e-9
    )
    agreed = [union[row, leading(probs[row])].mean() for row in np.flatnonzero(valid)]
    assert value("annotator_accuracy") == pytest.approx(np.mean(agreed), abs=1e-9)
    counts = annotator_counts(truth[rows_12], union[rows_12], predicted_12)
    assert value("annotator_macro_f1") == pytest.approx(float(macro_f1(counts)), abs=1e-9)
    threshold = threshold_counts(SOFT[valid], probs[valid])
    assert value("threshold_macro_f1") == pytest.approx(float(macro_f1(threshold)), abs=1e-9)


def test_an_invalid_row_is_worth_a_guess(rows: Rows) -> None:
    probs, truth = PREDICTIONS["greedy"], plurality()
    invalid = np.isnan(probs).any(axis=1)
    counted = truth >= 0
    shares = np.where(invalid[:, None], 0.25, probs)
    predictions = np.stack([leading(row) for row in shares])
    hits = (predictions == truth[:, None]).mean(axis=1)
    row = rows["greedy", "all", "accuracy.invalid_as_uniform", None]
    assert row.value == pytest.approx(hits[counted].mean(), abs=1e-9)
    assert row.n == counted.sum()
    # Macro-F1 as if every invalid row were split evenly over all labels.
    truths = np.repeat(truth[counted], 12)
    expected = sklearn_metrics.f1_score(truths, predictions[counted].ravel(), average="macro")
    row = rows["greedy", "all", "macro_f1.invalid_as_uniform", None]
    assert row.value == pytest.approx(expected, abs=1e-9)


def test_invalid_rate_counts_unlabelled_rows_too(rows: Rows) -> None:
    invalid = np.isnan(PREDICTIONS["greedy"]).any(axis=1)
    row = rows["greedy", "all", "invalid_rate", None]
    assert (row.n, row.n_invalid) == (COUNT, invalid.sum())
    assert row.value == pytest.approx(invalid.mean(), abs=1e-9)
    row = rows["greedy", "all", "js", None]
    assert row.n + row.n_invalid == LABELLED.sum()


def test_the_baselines_stand_beside_the_strategies(rows: Rows) -> None:
    speakers = [name for name, known in zip(SPEAKERS, LABELLED, strict=True) if known]
    truth = SOFT[LABELLED]
    for name, probs in {"prior": prior(truth, speakers), "uniform": uniform(*truth.shape)}.items():
        expected = per_utterance(truth, probs)
        for metric in ("js", "bc", "kl", "r2_det"):
            row = rows[name, "all", metric, None]
            assert row.value == pytest.approx(expected[metric].mean(), abs=2e-9)
            assert (row.n, row.n_invalid) == (LABELLED.sum(), 0)
    assert rows["uniform", "all", "accuracy", None].value == pytest.approx(0.25, abs=1e-9)
    assert rows["uniform", "all", "r2", None].value is None
    assert rows["prior", "all", "js_skill", None].value == pytest.approx(0.0, abs=1e-12)


def test_skill_is_against_the_prior_on_the_same_rows(rows: Rows) -> None:
    valid = LABELLED & ~np.isnan(PREDICTIONS["w_bon"]).any(axis=1)
    constant = np.full((COUNT, 4), np.nan)
    speakers = [name for name, known in zip(SPEAKERS, LABELLED, strict=True) if known]
    constant[LABELLED] = prior(SOFT[LABELLED], speakers)
    own = per_utterance(SOFT[valid], PREDICTIONS["w_bon"][valid])
    reference = per_utterance(SOFT[valid], constant[valid])
    skills = {
        "js_skill": 1.0 - own["js"].mean() / reference["js"].mean(),
        "kl_skill": 1.0 - own["kl"].mean() / reference["kl"].mean(),
        "bc_skill": (own["bc"].mean() - reference["bc"].mean()) / (1 - reference["bc"].mean()),
    }
    for name, expected in skills.items():
        assert rows["w_bon", "all", name, None].value == pytest.approx(expected, abs=1e-8)


def test_intervals_use_the_poisson_weights_of_the_ids(rows: Rows) -> None:
    weights = poisson_weights(IDS, REPLICATES, SEED).astype(float)
    probs, truth = PREDICTIONS["w_bon"], plurality()
    valid = rows_of("ambiguity_count_2") & ~np.isnan(probs).any(axis=1)
    js = per_utterance(SOFT[valid], probs[valid])["js"]
    expected = interval(js @ weights[valid] / weights[valid].sum(axis=0))
    row = rows["w_bon", "ambiguity_count_2", "js", None]
    assert (row.ci_low, row.ci_high) == pytest.approx(expected, abs=1e-9)
    scorable = LABELLED & ~np.isnan(probs).any(axis=1) & (truth >= 0)
    predicted = probs[scorable].argmax(axis=1)
    replicates = [
        sklearn_metrics.f1_score(
            truth[scorable], predicted, average="macro", sample_weight=weights[scorable, r]
        )
        for r in range(REPLICATES)
    ]
    row = rows["w_bon", "all", "macro_f1", None]
    assert (row.ci_low, row.ci_high) == pytest.approx(interval(np.array(replicates)), abs=1e-9)


def test_differences_are_paired_and_antisymmetric(rows: Rows) -> None:
    weights = poisson_weights(IDS, REPLICATES, SEED).astype(float)
    both = LABELLED.copy()
    for probs in PREDICTIONS.values():
        both &= ~np.isnan(probs).any(axis=1)
    left, right = (
        per_utterance(SOFT[both], PREDICTIONS[name][both])["js"] for name in ("w_bon", "greedy")
    )
    row = rows["w_bon", "all", "js", "greedy"]
    assert row.value == pytest.approx((left - right).mean(), abs=1e-9)
    assert row.n == both.sum()
    expected = interval((left - right) @ weights[both] / weights[both].sum(axis=0))
    assert (row.ci_low, row.ci_high) == pytest.approx(expected, abs=1e-9)
    mirror = rows["greedy", "all", "js", "w_bon"]
    assert mirror.value == -row.value
    assert (mirror.ci_low, mirror.ci_high) == pytest.approx((-row.ci_high, -row.ci_low), abs=1e-12)
    versus = {key[3] for key in rows if key[0] == "w_bon" and key[3]}
    assert versus == {"greedy", "prior", "uniform"}


def cut(table: pa.Table, pieces: int, seed: int) -> list[pa.Table]:
    """Whole utterances dealt to pieces at random, rows shuffled."""
    rng = np.random.default_rng(seed)
    place = dict(zip(IDS, rng.integers(0, pieces, COUNT).tolist(), strict=True))
    piece_of = np.array([place[name] for name in table["utterance_id"].to_pylist()])
    tables = [
        table.take(rng.permutation(np.flatnonzero(piece_of == piece))) for piece in range(pieces)
    ]
    return [tables[piece] for piece in rng.permutation(pieces)]


@pytest.mark.parametrize(("pieces", "seed"), [(2, 0), (9, 1)])
def test_any_cut_in_any_order_gives_the_same_bits(
    state: MetricState, pieces: int, seed: int
) -> None:
    again = reduce_tables(cut(TABLE, pieces, seed), per_speaker=True)
    assert metrics_table(again.finish()).equals(metrics_table(state.finish()))
    assert confusion_table(again).equals(confusion_table(state))


def test_the_seed_moves_intervals_but_no_value(state: MetricState) -> None:
    other = reduce_tables([TABLE], seed=SEED + 1).finish()
    mine = {(r.strategy, r.slice, r.metric, r.versus): r for r in state.finish()}
    moved = 0
    for row in other:
        twin = mine[row.strategy, row.slice, row.metric, row.versus]
        assert twin.value == row.value
        moved += twin.ci_low != row.ci_low
    assert moved > 100


def test_models_and_prompts_stand_apart_and_share_one_prior(rows: Rows) -> None:
    second = predictions_table(
        IDS, VOTES, {"greedy": PREDICTIONS["w_bon"]}, LABELS, speakers=SPEAKERS, prompt="q"
    )
    both = reduce_tables([TABLE, second], replicates=0).finish()
    found = {
        (row.prompt, row.strategy, row.metric): row
        for row in both
        if row.slice == "all" and not row.versus
    }
    assert found["q", "greedy", "js"].value == rows["w_bon", "all", "js", None].value
    assert found["p", "greedy", "js"].value == rows["greedy", "all", "js", None].value
    assert found["q", "prior", "js"].value == found["p", "prior", "js"].value
    assert {row.ci_low for row in both if row.metric == "js"} == {None}


def test_slices_are_complete_and_speakers_only_on_request(rows: Rows) -> None:
    slices = {key[1] for key in rows}
    assert {f"ambiguity_{kind}_{n}" for kind in ("count", "width") for n in (1, 5)} <= slices
    assert {f"label={name}" for name in LABELS.names} <= slices
    assert {"all", "majority", "split=train", "split=test", "speaker=s0"} <= slices
    assert rows["w_bon", "speaker=s0", "js", None].ci_low is None
    plain = reduce_tables([TABLE], replicates=0).finish()
    assert not [row for row in plain if row.slice.startswith("speaker=")]


def test_a_strategy_without_any_valid_answer_has_rows_without_values() -> None:
    table = predictions_table(IDS, VOTES, {"bon": np.full((COUNT, 4), np.nan)}, LABELS)
    found = {
        r.metric: r
        for r in reduce_tables([table]).finish()
        if r.strategy == "bon" and r.slice == "all"
    }
    assert (found["js"].value, found["js"].n, found["js"].n_invalid) == (None, 0, LABELLED.sum())
    assert found["invalid_rate"].value == 1.0
    everywhere = per_utterance(SOFT[LABELLED], np.full((LABELLED.sum(), 4), 0.25))
    assert found["js.invalid_as_uniform"].value == pytest.approx(everywhere["js"].mean(), abs=1e-9)


def test_a_corpus_without_labels_still_has_its_invalid_rate() -> None:
    table = predictions_table(IDS, np.zeros((COUNT, 4)), PREDICTIONS, LABELS)
    found = {(r.strategy, r.metric): r for r in reduce_tables([table]).finish() if r.slice == "all"}
    assert found["greedy", "js"].value is None
    assert found["greedy", "invalid_rate"].n == COUNT


def test_no_rows_give_an_empty_table() -> None:
    table = metrics_table(reduce_tables([TABLE.slice(0, 0)]).finish())
    assert table.num_rows == 0
    assert table.schema.equals(METRICS)


def test_the_table_has_the_stores_schema(state: MetricState) -> None:
    assert metrics_table(state.finish()).schema.equals(METRICS)


def test_the_confusion_table_agrees_with_sklearn(state: MetricState) -> None:
    table = confusion_table(state).to_pylist()
    probs, truth = PREDICTIONS["w_bon"], plurality()
    scorable = ~np.isnan(probs).any(axis=1) & (truth >= 0)
    reference = sklearn_metrics.confusion_matrix(
        truth[scorable], probs[scorable].argmax(axis=1), labels=range(4)
    )
    chosen = [r["count"] for r in table if r["strategy"] == "w_bon" and r["slice"] == "all"]
    assert np.reshape(chosen, (4, 4)).tolist() == reference.tolist()


def test_doubled_and_misaligned_rows_are_refused() -> None:
    summary = CorpusSummary.from_table(TABLE, LABELS)
    doubled = pa.concat_tables([TABLE, TABLE.slice(0, 1)])
    with pytest.raises(AccountingError, match="two rows"):
        MetricState.from_table(doubled, summary.frame, LABELS, replicates=0)
    with pytest.raises(AccountingError, match="entries for 2 labels"):
        CorpusSummary.from_table(TABLE, LabelSet(("anger", "fear")))
    named = predictions_table(IDS, VOTES, {"prior": PREDICTIONS["w_bon"]}, LABELS)
    with pytest.raises(AccountingError, match="reference"):
        MetricState.from_table(named, summary.frame, LABELS, replicates=0)


def test_states_and_summaries_that_do_not_belong_together_are_refused(state: MetricState) -> None:
    with pytest.raises(AccountingError, match="do not add up"):
        state.merge(reduce_tables([TABLE], replicates=3))
    other = predictions_table(IDS, VOTES[::-1].copy(), PREDICTIONS, LABELS)
    with pytest.raises(AccountingError, match="different soft labels"):
        CorpusSummary.from_table(TABLE, LABELS).merge(CorpusSummary.from_table(other, LABELS))


def test_crema_d_gives_the_known_baseline_rows_in_seconds() -> None:
    """Spec, section 6, and a bound on the cost: three strategies, 1,000 replicates."""
    ids, votes = crema_d_votes()
    soft = votes / votes.sum(axis=1, keepdims=True)
    noisy = {"greedy": 0.5 * soft + 0.5 * np.random.default_rng(0).dirichlet(np.ones(6), len(soft))}
    table = predictions_table(ids, votes, noisy, CREMA_D)
    started = time.process_time()
    summary = CorpusSummary.from_table(table, CREMA_D)
    found = {
        (row.strategy, row.metric): row
        for row in MetricState.from_table(table, summary.frame, CREMA_D).finish()
        if row.slice == "all" and row.versus is None
    }
    assert time.process_time() - started < 60.0
    assert found["prior", "js"].value == pytest.approx(0.2903, abs=5e-5)
    assert found["prior", "bc"].value == pytest.approx(0.7377, abs=5e-5)
    assert found["prior", "ties"].value == 644  # counted, and left out of the accuracy
    assert found["prior", "accuracy"].value == pytest.approx(0.5733, abs=5e-5)
    assert found["prior", "js"].ci_low < 0.2903 < found["prior", "js"].ci_high
    assert found["greedy", "js_skill"].value > 0.3


def test_strategies_with_equal_predictions_have_the_numbers_they_have_alone() -> None:
    # Equal in the first piece, in the second, in both: sums are shared where they can be.
    half = np.arange(COUNT) < COUNT // 2
    good, rough = PREDICTIONS["w_bon"], PREDICTIONS["greedy"]
    swept = {
        "a": good,
        "b": good.copy(),
        "c": np.where(half[:, None], good, rough),
        "d": np.where(half[:, None], rough, good),
        "e": rough,
    }

    def reduced(predictions: dict[str, np.ndarray]) -> list[MetricRow]:
        pieces = [
            predictions_table(
                IDS[start:stop],
                VOTES[start:stop],
                {name: probs[start:stop] for name, probs in predictions.items()},
                LABELS,
                speakers=SPEAKERS[start:stop],
            )
            for start, stop in ((0, COUNT // 2), (COUNT // 2, COUNT))
        ]
        return reduce_tables(pieces).finish()

    together = reduced(swept)
    for pair in (("a", "b"), ("a", "c"), ("b", "c"), ("c", "d"), ("b", "e"), ("d", "e")):
        alone = reduced({name: swept[name] for name in pair})
        named = {*pair, "prior", "uniform", "humans", None}
        assert [row for row in together if {row.strategy, row.versus} <= named] == alone


def test_only_the_pairs_asked_for_are_compared() -> None:
    three = {**PREDICTIONS, "bon": PREDICTIONS["w_bon"]}
    table = predictions_table(IDS, VOTES, three, LABELS, speakers=SPEAKERS)
    rows = reduce_tables([table], compared=frozenset({("bon", "greedy")})).finish()
    found = {(row.strategy, row.versus) for row in rows if row.versus is not None}
    baselines = {(name, constant) for name in three for constant in ("prior", "uniform")}
    assert found == {("bon", "greedy"), ("greedy", "bon"), *baselines}


def test_the_parts_of_the_uncertainty_are_judged_like_the_entropy() -> None:
    probs = PREDICTIONS["w_bon"]
    valid = ~np.isnan(probs).any(axis=1)
    parts = RNG.random((2, COUNT)) * 1.5
    names = ("aleatoric_uncertainty", "epistemic_uncertainty")
    table = predictions_table(IDS, VOTES, {"w_bon": probs}, LABELS)
    for name, values in zip(names, parts, strict=True):
        column = [value if ok else None for value, ok in zip(values, valid, strict=True)]
        table = table.append_column(name, pa.array(column, pa.float64()))
    rows = {row.metric: row for row in reduce_tables([table]).finish() if row.slice == "all"}
    ambiguous = entropy_bits(SOFT) > np.median(entropy_bits(SOFT[LABELLED]))
    scored = valid & LABELLED
    for name, values in zip(("aleatoric_auroc", "epistemic_auroc"), parts, strict=True):
        expected = sklearn_metrics.roc_auc_score(ambiguous[scored], values[scored])
        assert rows[name].value == pytest.approx(expected, abs=1e-9)
        assert rows[name].n == scored.sum()
    without = reduce_tables([predictions_table(IDS, VOTES, {"w_bon": probs}, LABELS)]).finish()
    assert not [row for row in without if "aleatoric" in row.metric]
