"""The page about a fine-tuning."""

from raypipe.finetune.record import CurvePoint, ExampleCounts, FinetuneRecord
from raypipe.reporting.finetune.page import html_finetuning

CURVE = [
    CurvePoint(step, step / 10, 1e-3, 5.0 - step / 4, 400, 1.0, 4.5 if step == 10 else None)
    for step in range(1, 11)
]


def record(**changes: object) -> FinetuneRecord:
    made = FinetuneRecord(
        name="<b>mine</b>",
        status="finished",
        fingerprint="f" * 64,
        identity={},
        config={"model": {"path": "<script>x"}, "preset": "paper", "workers": 2},
        versions={"peft": "0.21"},
        started="2026-01-01",
        counts=ExampleCounts(train=10, development=3, left_out=1, cut=1, cut_tokens=7),
        odd=(
            {"example_id": "<i>a", "cut_tokens": 7},
            {"example_id": "b", "error_type": "empty", "message": "no <audio>"},
        ),
        steps=10,
        best_step=10,
        development_loss=4.5,
        device="cpu",
        targets=("lm_head",),
        parameters=12_345,
        seconds=61.0,
    )
    return made.model_copy(update=changes)


def test_the_page_says_what_was_kept_cut_and_left_out() -> None:
    page = html_finetuning(record(), CURVE)
    assert "the adapter of step 10 is kept, with a development loss of 4.500" in page
    assert "7 tokens beyond the cutoff" in page
    assert "no &lt;audio&gt;" in page
    assert "12,345 numbers learnt" in page
    assert "Training loss from 4.750 to 2.500; development loss from 4.500 to 4.500" in page
    assert "stopped early" in html_finetuning(record(stopped_early=True), CURVE)


def test_names_are_hostile() -> None:
    page = html_finetuning(record(), CURVE)
    assert "<script" not in page
    assert "<b>mine" not in page
    assert "<i>a" not in page


def test_without_a_development_set_the_last_step_is_kept() -> None:
    points = [CurvePoint(1, 1.0, 0.0, 2.0, 10, 0.5)]
    page = html_finetuning(record(best_step=None, development_loss=None, odd=()), points)
    assert "the last step&#39;s adapter is kept" in page
    assert "There was no development set." in page
