"""What every stage of a run knows."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from raypipe.records import AskedQuestion, Hypothesis
from raypipe.runtime.finish.aggregation import Ensemble
from raypipe.runtime.infer.context import Prompt


def answer(**shares: float) -> Hypothesis:
    text = ", ".join(f"{name}: {share:.0%}" for name, share in shares.items())
    return Hypothesis("greedy", 0, text, (1,), None, None, "stop", None)


def test_readers_find_odd_names_of_models_and_prompts_again(in_process: Any) -> None:
    """Hive readers split a path at slashes and equals signs, and decode percent signs."""
    model, prompt = "group/model=1 50%", "wärmer? & 100%"
    in_process.answered(
        model={"engine": "fake", "path": "none", "name": model}, prompt={"name": prompt}
    )
    for table in ("generations", "predictions"):
        rows = in_process.rows(f"SELECT DISTINCT model, prompt FROM {table}")
        assert rows == [{"model": model, "prompt": prompt}]
    for name in in_process.objects():
        table, first, second, shard = name.split("/")
        assert (first.count("="), second.count("=")) == (1, 1)
        assert shard == "shard-000000.parquet"


def test_objects_of_a_plain_name_stand_under_that_name(in_process: Any) -> None:
    context = in_process.context()
    name = context.object_name("errors", "distribution", "shard-000007.parquet")
    assert name == "errors/model=fake/prompt=distribution/shard-000007.parquet"


def test_ensembles_are_prompts_that_nobody_asks(in_process: Any) -> None:
    context = in_process.context(
        prompts=[{"template": "distribution"}, {"template": "ambiguous"}],
        ensembles=[{"name": "both"}],
    )
    assert context.asked_prompts == ("distribution", "ambiguous")
    assert context.all_prompts == ("distribution", "ambiguous", "both")
    assert context.prediction_settings.ensembles == (
        Ensemble("both", ("distribution", "ambiguous")),
    )


def test_texts_of_a_prompt_end_with_its_step_by_step_variant() -> None:
    assert Prompt("p", "Say.").sources == ("Say.",)
    assert "turn" not in Prompt("p", "Say.").identity()
    assert Prompt("p", "Say.", turn="plain").identity()["turn"] == "plain"
    assert "clip" not in Prompt("p", "Say.").identity()
    assert Prompt("p", "Say.", clip="after").identity()["clip"] == "after"
    assert Prompt("p", "Say.", "Think, then say.").sources == ("Say.", "Think, then say.")


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.9, True), (1.1, False)],
)
def test_two_equally_likely_labels_are_one_bit_of_ambiguity(
    in_process: Any, threshold: float, expected: bool
) -> None:
    context = in_process.context(
        strategies=["greedy", "adaptive"], adaptive={"threshold": threshold}
    )
    assert context.is_ambiguous(([answer(anger=0.5, sadness=0.5)], [])) is expected


def test_what_got_no_cheap_answer_is_ambiguous(in_process: Any) -> None:
    context = in_process.context(strategies=["adaptive"], adaptive={"threshold": 2.5})
    assert not context.is_ambiguous(([answer(anger=0.5, sadness=0.5)], []))
    assert context.is_ambiguous(([], []))
    failed = AskedQuestion("greedy", error_type="odd", error_message="no answer")
    assert context.is_ambiguous(([], [failed]))


def test_of_several_searches_the_main_one_decides(in_process: Any) -> None:
    """What the other searches found is for comparison, and may not be asked yet."""
    context = in_process.context(
        strategies=["adaptive"],
        decoding={"beam_count": 2, "other_beam_counts": [4]},
        adaptive={"cheap": "bon", "expensive": "cot", "threshold": 0.5},
    )
    clear = replace(answer(anger=1.0), kind="beam", alpha=-1.0)
    mixed = replace(answer(anger=0.5, sadness=0.5), kind="beam", alpha=-1.0)
    for main, other, expected in ((mixed, clear, True), (clear, mixed, False)):
        beams = [replace(main, beam_count=2), replace(other, beam_count=4)]
        assert context.is_ambiguous((beams, [])) is expected


def test_without_a_composite_strategy_nothing_is_ambiguous(in_process: Any) -> None:
    context = in_process.context(strategies=["greedy"])
    assert not context.is_ambiguous(([], []))


def test_a_context_travels_without_the_secrets_of_its_process(
    in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-tell")
    context = in_process.context(strategies=["greedy", "adaptive"])
    data = pickle.dumps(context)
    assert b"do-not-tell" not in data
    assert pickle.loads(data) == context
