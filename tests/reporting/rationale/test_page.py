"""The page about a rationale job: counts by rule and label, examples, nothing that runs."""

from __future__ import annotations

import re

import pytest

from raypipe.explain.rationale.findings import rationale_findings
from raypipe.explain.rationale.rounds import Rationale, RefusedDraft
from raypipe.explain.rationale.table import left_out_of, rationales_table
from raypipe.records import Utterance
from raypipe.reporting.rationale.page import TEST_II, headline, html_rationales, left_out_line
from raypipe.store.run_record import RunCounts, RunRecord

HOSTILE = "<script>alert(1)</script>\x1b[31m"


def utterance(name: str) -> Utterance:
    return Utterance(name, "d", "train", "s", b"", 16_000, 1.0, transcript="Stop it.")


ROWS = [
    (utterance("u1"), Rationale("anger", "Stop it.", "Good, loud words.", tries=1)),
    (
        utterance("u2"),
        Rationale(
            "anger",
            HOSTILE,
            "Other words.",
            2,
            (RefusedDraft("names_label", "angry", "So angry."),),
        ),
    ),
    (
        utterance("u3"),
        Rationale(
            "fear",
            None,
            None,
            2,
            tuple(RefusedDraft("too_short", "1 words", HOSTILE) for _ in "ab"),
        ),
    ),
]


def table(purpose: str = "train"):  # type: ignore[no-untyped-def]
    return rationales_table(
        ROWS,
        run="r",
        model="m",
        prompt="rationale",
        purpose=purpose,  # type: ignore[arg-type]
        left_out={"split test": 4, "no_consensus": 1},
    )


def record(purpose: str) -> RunRecord:
    return RunRecord(
        name="n",
        run="r",
        status="finished",
        fingerprint="f",
        generation_fingerprint="f",
        labels=("anger", "fear"),
        config={"purpose": purpose, "splits": ["train"], "model": {"path": "m", "name": None}},
        seed=0,
        versions={},
        started="now",
        counts=RunCounts(input=3, predicted=3, errors=0, strategies={}),
    )


def test_findings_count_by_rule_and_by_label() -> None:
    findings = rationale_findings(table(), left_out_of(table()))
    assert findings.rejections == {"too_short": 2, "names_label": 1}
    anger, fear = findings.labels
    assert (anger.utterances, anger.accepted, anger.first_try, anger.refused) == (2, 2, 1, 1)
    assert (fear.accepted, fear.commonest, fear.mean_words) == (0, "too_short", None)
    assert [example.why for example in findings.examples] == [
        "Accepted at once",
        "Accepted after a refusal",
        "Given up",
    ]
    assert headline(findings) == (
        "2 of 3 utterances have a rationale that keeps the rules; 3 of 5 drafts broke one."
    )
    assert left_out_line(findings) == "left out: split test: 4, no_consensus: 1"


@pytest.mark.parametrize("purpose", ["train", "test_ii"])
def test_the_page_shows_all_and_runs_nothing(purpose: str) -> None:
    findings = rationale_findings(table(purpose), {"split test": 4})
    page = html_rationales(findings, record(purpose))
    assert "<script" not in page
    assert "\x1b" not in page
    assert "names_label" in page
    assert re.search(r"split test</th><td[^>]*>4<", page)
    assert (TEST_II in page) == (purpose == "test_ii")
