"""Records become rows and come back as they were."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from raypipe.labels import LabelSet
from raypipe.records import (
    EmotionTokens,
    EmotionWord,
    Failure,
    Generation,
    Hypothesis,
    Prediction,
    Utterance,
    Vote,
)
from raypipe.store.generations import Answered, generations_table, read_generations
from raypipe.store.parquet import from_parquet_bytes, to_parquet_bytes
from raypipe.store.schemas import (
    ERRORS,
    GENERATIONS,
    PREDICTIONS,
    UTTERANCE_METRICS,
    emotion_tokens_of,
    labels_of,
)
from raypipe.store.tables import MESSAGE_LIMIT, errors_table, predictions_table
from raypipe.votes import VotePolicy

LABELS = LabelSet(("anger", "happiness", "sadness"))
TOKENS = EmotionTokens(
    words=(EmotionWord("anger", " Angry", (7, 9)), EmotionWord("sadness", "sad", (8,))),
    token_ids=(7, 8, 9),
    token_strings=("ang", "▁sad", "ry"),
)
FULL = Utterance(
    utterance_id="clip 1/é",
    dataset="größe",
    split="test",
    speaker="s1",
    audio=b"",
    sampling_rate=16_000,
    duration_s=1.25,
    transcript="„Nein“, 😀\n=HYPERLINK()",
    context=("first", ""),
    votes=(Vote("a", ("angry", "other"), "fed up"), Vote("b", ()), Vote("c", ("Sad",))),
    soft_label=(0.5, 0.0, 0.5),
    plurality="anger",
    n_votes=2,
)
BARE = Utterance("bare", "", None, None, b"", 8_000, 0.5)


def hypothesis(steps: int, **changes: Any) -> Hypothesis:
    rng = np.random.default_rng(steps)
    made = Hypothesis(
        kind="beam",
        rank=2,
        text='{"anger": 0.5}\0é',
        token_ids=tuple(range(steps)),
        token_logprobs=-rng.random(steps, dtype=np.float32),
        alpha=-0.1 - steps,
        finish_reason="stop",
        emotion_logits=rng.normal(20, 5, (steps, 3)).astype(np.float32),
        verifier_score=0.75,
        verifier_text="0.75",
    )
    return dataclasses.replace(made, **changes)


UNKNOWN = hypothesis(
    2,
    kind="greedy",
    rank=0,
    token_logprobs=None,
    alpha=None,
    finish_reason="length",
    emotion_logits=None,
    verifier_score=None,
    verifier_text=None,
    alpha_kind="none",
    emotion_kind="logprob",
    sampled=True,
    step_count=2,
)
JUDGED = hypothesis(
    4,
    verifier_error="no number in 'maybe'",
    verifier_call=3,
    verifier_tokens=412,
    prompt_tokens=400,
    beam_count=7,
    window=2,
    window_s=12.5,
)
ANSWERED = [
    Answered(FULL, Generation("clip 1/é", (hypothesis(5), hypothesis(0), UNKNOWN), 17, 40)),
    Answered(None, Failure(None, "read", "missing_id", "row 1")),
    Answered(BARE, Failure("bare", "decode", "truncated", "x" * 2000)),
    Answered(None, Failure("lost", "read", "empty", "no bytes")),
    Answered(BARE, Generation("bare", (), 0, 0)),
    Answered(
        BARE, Generation("bare", (hypothesis(3), JUDGED), None, None, batch_size=16), heard_s=0.25
    ),
]


def table() -> pa.Table:
    return generations_table(
        ANSWERED, run="r1", model="m", prompt="p", labels=LABELS, emotion_tokens=TOKENS
    )


def same(left: Hypothesis, right: Hypothesis) -> bool:
    for field in dataclasses.fields(Hypothesis):
        one, other = getattr(left, field.name), getattr(right, field.name)
        if isinstance(one, np.ndarray):
            if other is None or one.dtype != other.dtype or not np.array_equal(one, other):
                return False
        elif one != other:
            return False
    return True


@pytest.mark.parametrize("stored", [False, True])
def test_generations_come_back_as_they_were(stored: bool) -> None:
    made = from_parquet_bytes(to_parquet_bytes(table(), {})) if stored else table()
    back = list(read_generations(made))
    assert len(back) == len(ANSWERED)
    for (utterance, answer), wanted in zip(back, ANSWERED, strict=True):
        assert utterance == wanted.utterance
        if isinstance(wanted.answer, Failure):
            assert isinstance(answer, Failure)
            assert answer.message == wanted.answer.message[:497] + "..." * (
                len(wanted.answer.message) > MESSAGE_LIMIT
            )
            assert dataclasses.replace(answer, message="") == dataclasses.replace(
                wanted.answer, message=""
            )
        else:
            assert not isinstance(answer, Failure)
            pairs = zip(answer.hypotheses, wanted.answer.hypotheses, strict=True)
            assert answer.questions == wanted.answer.questions
            assert all(same(left, right) for left, right in pairs)


def without_fields(made: pa.Table, *added: str) -> pa.Table:
    """As written before hypotheses had these fields."""
    at = made.schema.get_field_index("hypotheses")
    rows = [
        None if row is None else [{k: v for k, v in one.items() if k not in added} for one in row]
        for row in made["hypotheses"].to_pylist()
    ]
    older = [one for one in made.schema.field(at).type.value_type if one.name not in added]
    column = pa.chunked_array([pa.array(rows, pa.list_(pa.struct(older)))])
    return made.set_column(at, "hypotheses", column)


def test_objects_from_before_questions_were_counted_hold_answers_to_the_row_s_own() -> None:
    read = read_generations(without_fields(table(), "prompt_tokens", "beam_count", "window"))
    answers = [answer.hypotheses for _, answer in read if not isinstance(answer, Failure)]
    assert [{one.prompt_tokens for one in answer} for answer in answers] == [{17}, set(), {None}]
    assert {(one.beam_count, one.window) for one in answers[0]} == {(None, 0)}


def test_objects_from_before_endpoints_hold_searched_beams_with_raw_logits() -> None:
    older = without_fields(table(), "alpha_kind", "emotion_kind", "sampled", "step_count")
    _, answer = next(read_generations(older))
    assert not isinstance(answer, Failure)
    assert {(one.alpha_kind, one.emotion_kind, one.sampled) for one in answer.hypotheses} == {
        ("sum_logprob", "logit", False)
    }


def as_version_1(made: pa.Table) -> pa.Table:
    """As version 1 wrote it: logits inside the hypotheses, no questions, no search's score."""
    rows = [
        None
        if answers is None
        else [
            {**answer, "emotion_logits": own} for answer, own in zip(answers, logits, strict=True)
        ]
        for answers, logits in zip(
            made["hypotheses"].to_pylist(), made["emotion_logits"].to_pylist(), strict=True
        )
    ]
    known = made.schema.field("hypotheses").type.value_type
    kept = [field for field in known if field.name != "search_score"]
    older = pa.struct([*kept, ("emotion_logits", pa.list_(pa.list_(pa.float32())))])
    column = pa.array(rows, pa.list_(older))
    at = made.schema.get_field_index("hypotheses")
    made = made.set_column(at, "hypotheses", pa.chunked_array([column]))
    return made.drop_columns(["emotion_logits", "questions", "audio_marks", "facts"])


def test_version_1_is_read_as_it_was_meant() -> None:
    for (_, left), (_, right) in zip(
        read_generations(table()), read_generations(as_version_1(table())), strict=True
    ):
        if isinstance(left, Failure) or isinstance(right, Failure):
            assert left == right
            continue
        assert right.questions == ()
        assert all(same(*pair) for pair in zip(left.hypotheses, right.hypotheses, strict=True))


def test_a_question_that_failed_was_a_hypothesis_in_version_1() -> None:
    answered = ANSWERED[0].answer
    assert isinstance(answered, Generation)
    failed = dataclasses.replace(
        answered.hypotheses[0],
        kind="beam",
        text="out_of_memory: 12 GiB",
        finish_reason="failed",  # type: ignore[arg-type]
        beam_count=5,
    )
    written = dataclasses.replace(
        ANSWERED[0], answer=dataclasses.replace(answered, hypotheses=(failed,))
    )
    made = generations_table(
        [written], run="r1", model="m", prompt="p", labels=LABELS, emotion_tokens=TOKENS
    )
    ((_, answer),) = read_generations(as_version_1(made))
    assert not isinstance(answer, Failure)
    assert answer.hypotheses == ()
    (question,) = answer.questions
    assert (question.question, question.beam_count, question.failed) == ("beams", 5, True)
    assert (question.error_type, question.error_message) == ("out_of_memory", "12 GiB")


def test_parts_of_a_generations_table_read_alike() -> None:
    whole = list(read_generations(table()))
    parts = [*read_generations(table().slice(0, 4)), *read_generations(table().slice(4))]
    chunked = list(read_generations(pa.concat_tables([table().slice(0, 4), table().slice(4)])))
    for other in (parts, chunked):
        assert [utterance for utterance, _ in other] == [utterance for utterance, _ in whole]
        for (_, left), (_, right) in zip(other, whole, strict=True):
            if not isinstance(left, Failure) and not isinstance(right, Failure):
                pairs = zip(left.hypotheses, right.hypotheses, strict=True)
                assert all(same(*pair) for pair in pairs)


def test_hypotheses_come_without_what_is_not_read() -> None:
    unread = ["emotion_logits", "hypotheses.list.element.token_logprobs"]
    whole = list(read_generations(table()))
    part = from_parquet_bytes(to_parquet_bytes(table(), {}), without=unread)
    for (utterance, left), (other, right) in zip(whole, read_generations(part), strict=True):
        assert other == utterance
        if isinstance(left, Failure) or isinstance(right, Failure):
            assert left == right
            continue
        for one, answer in zip(left.hypotheses, right.hypotheses, strict=True):
            assert same(dataclasses.replace(one, emotion_logits=None, token_logprobs=None), answer)


def test_a_generations_table_explains_itself() -> None:
    made = from_parquet_bytes(to_parquet_bytes(table(), {"raypipe.fingerprint": "f"}))
    assert made.schema.equals(GENERATIONS)
    assert labels_of(made.schema) == LABELS
    assert emotion_tokens_of(made.schema) == TOKENS
    assert made.schema.metadata[b"raypipe.fingerprint"] == b"f"
    assert made.column("emotion_token_strings").to_pylist()[0] == list(TOKENS.token_strings)
    assert set(made.column("run").to_pylist()) == {"r1"}
    assert made.column("labels").to_pylist() == [list(LABELS.names)] * len(ANSWERED)
    assert made.column("batch_size").to_pylist() == [None] * 5 + [16]
    assert made.column("heard_s").to_pylist() == [None] * 5 + [0.25]


def test_an_empty_shard_has_an_empty_table() -> None:
    empty = generations_table(
        [], run="r1", model="m", prompt="p", labels=LABELS, emotion_tokens=TOKENS
    )
    assert list(read_generations(from_parquet_bytes(to_parquet_bytes(empty, {})))) == []


def nothing_scored(rows: int) -> dict[str, list[float | None]]:
    return {name: [None] * rows for name in UTTERANCE_METRICS}


def test_a_score_that_is_forgotten_or_unknown_is_an_error() -> None:
    answer = Prediction("bon", np.array([0.2, 0.1, 0.7]), "json")
    whole = nothing_scored(1)
    lacking = {name: values for name, values in whole.items() if name != "kl"}
    for scores, words in ((lacking, "no column kl"), ({**whole, "kll": [0.5]}, "column kll")):
        with pytest.raises(ValueError, match=words):
            predictions_table(
                [(BARE, answer)], run="r", model="m", prompt="p", labels=LABELS, scores=scores
            )


def test_predictions_hold_truth_answer_and_scores() -> None:
    good = Prediction("w_bon", np.array([0.2, 0.1, 0.7]), "json", None, 1.1568, 1.5, 1.0, 0.5)
    spread = np.diag([0.08, 0.045, 0.105])
    good = dataclasses.replace(
        good, model_tokens=512, verifier_calls=3, escalated=True, covariance=spread
    )
    bad = Prediction("greedy", None, None, "single number")
    made = predictions_table(
        [(FULL, good), (BARE, bad)],
        run="r1",
        model="m",
        prompt="p",
        labels=LABELS,
        scores={**nothing_scored(2), "js": [0.25, None], "true_entropy": [1.0, None]},
    )
    assert made.schema.equals(PREDICTIONS)
    first, second = made.to_pylist()
    assert first["labels"] == second["labels"] == list(LABELS.names)
    assert (first["covariance"], second["covariance"]) == (spread.tolist(), None)
    assert first["probs"] == [0.2, 0.1, 0.7]
    assert (first["predicted"], first["valid"], first["strategy"]) == ("sadness", True, "w_bon")
    assert first["votes_union"] == ["anger", "sadness"]  # aliases meant, words outside left out
    assert first["votes_primary"] == first["votes_union"]
    assert (first["soft_label"], first["plurality"]) == ([0.5, 0.0, 0.5], "anger")
    assert (first["js"], first["bc"], first["epistemic_uncertainty"]) == (0.25, None, 0.5)
    costs = ("model_tokens", "verifier_calls", "escalated")
    assert [first[name] for name in costs] == [512, 3, True]
    assert [second[name] for name in costs] == [None, None, None]
    assert (second["probs"], second["predicted"], second["valid"]) == (None, None, False)
    assert second["invalid_reason"] == "single number"
    assert second["votes_union"] == []
    assert [second[name] for name in UTTERANCE_METRICS] == [None] * len(UTTERANCE_METRICS)


@pytest.mark.parametrize(
    ("probs", "predicted"),
    [
        ([0.4, 0.4, 0.2], None),
        ([0.1 + 0.2, 0.4, 0.3], "happiness"),
        ([0.1 + 0.2, 0.3, 0.4], "sadness"),
    ],
)
def test_a_prediction_of_several_equal_labels_has_no_predicted_label(
    probs: list[float], predicted: str | None
) -> None:
    answer = Prediction("bon", np.array(probs), "json")
    made = predictions_table(
        [(BARE, answer)], run="r", model="m", prompt="p", labels=LABELS, scores=nothing_scored(1)
    )
    assert made.column("predicted").to_pylist() == [predicted]
    assert made.column("valid").to_pylist() == [True]


def test_the_union_of_votes_is_understood_as_the_corpus_s_policy_says() -> None:
    votes = (
        Vote("a", ("anger", "annoyed")),  # a word of its own in a corpus without aliases
        Vote("b", ("Excitement ",)),
        Vote("self:F", ("sadness",)),
    )
    row = dataclasses.replace(BARE, votes=votes)
    answer = Prediction("bon", np.array([0.2, 0.1, 0.7]), "json")

    def union(policy: VotePolicy | None, labels: LabelSet = LABELS) -> list[str]:
        made = predictions_table(
            [(row, answer)],
            run="r",
            model="m",
            prompt="p",
            labels=labels,
            scores=nothing_scored(1),
            policy=policy,
        )
        (primary,) = made.column("votes_primary").to_pylist()
        (every,) = made.column("votes_union").to_pylist()
        assert set(primary) <= set(every)
        return every

    secondary = dataclasses.replace(row, votes=(Vote("a", ("anger", "sad")),))
    made = predictions_table(
        [(secondary, answer)],
        run="r",
        model="m",
        prompt="p",
        labels=LABELS,
        scores=nothing_scored(1),
    )
    assert made.column("votes_primary").to_pylist() == [["anger"]]
    assert made.column("votes_union").to_pylist() == [["anger", "sadness"]]
    assert union(None) == union(VotePolicy()) == ["anger"]
    assert union(VotePolicy(self_reports=True)) == ["anger", "sadness"]
    merged = VotePolicy(aliases=False, merges={"excitement": "happiness"})
    assert union(merged) == ["anger", "happiness"]
    known = LabelSet(("happiness", "sadness", "anger", "other"))
    assert union(VotePolicy(aliases=False, outside="other"), known) == ["anger", "other"]


def test_a_word_that_is_only_an_alias_is_outside_without_aliases() -> None:
    row = dataclasses.replace(BARE, votes=(Vote("a", ("annoyed",)),))
    answer = Prediction("bon", np.array([0.2, 0.1, 0.7]), "json")
    for policy, expected in [(VotePolicy(), ["anger"]), (VotePolicy(aliases=False), [])]:
        made = predictions_table(
            [(row, answer)],
            run="r",
            model="m",
            prompt="p",
            labels=LABELS,
            scores=nothing_scored(1),
            policy=policy,
        )
        assert made.column("votes_union").to_pylist() == [expected]


def test_errors_say_how_many_inputs_they_stand_for() -> None:
    made = errors_table(
        [(3, Failure("a", "decode", "empty", "0 bytes")), (None, Failure(None, "read", "X", "y"))],
        run="r1",
        shard="shard-000000.parquet",
        shard_rows=200,
    )
    assert made.schema.equals(ERRORS)
    assert [(row["row"], row["utterances"]) for row in made.to_pylist()] == [(3, 1), (None, 200)]
