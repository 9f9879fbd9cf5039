"""The page of a classify job: every number of the table, hostile texts made harmless."""

from __future__ import annotations

import re
from collections import Counter

from raypipe.explain.classify.decisions import Decision
from raypipe.explain.classify.findings import (
    ClassifyFindings,
    LetterUse,
    SystemFindings,
    WordErrorRate,
)
from raypipe.explain.classify.sample import Agreement
from raypipe.explain.classify.scores import LabelledItem, table_scores
from raypipe.labels import LabelSet
from raypipe.reporting.classify.page import headline, html_classified, terminal_tables
from raypipe.store.run_record import RunCounts, RunRecord

LABELS = LabelSet(("anger", "sadness"))
EVIL = "<script>alert(1)</script>"


def record() -> RunRecord:
    return RunRecord(
        name=EVIL,
        run="r",
        status="finished",
        fingerprint="f",
        generation_fingerprint="f",
        input_fingerprint="i",
        identity={},
        dataset="d",
        labels=LABELS.names,
        vote_policy=None,
        config={"x": EVIL},
        seed=0,
        versions={"raypipe": "1"},
        started="2026-01-01T00:00:00+00:00",
        counts=RunCounts(input=80, predicted=80, errors=0, strategies={}),
    )


def findings() -> ClassifyFindings:
    items = [
        LabelledItem(f"u{k}", f"s{k % 8}", LABELS.names[k % 2], frozenset(LABELS.names), k % 3 > 0)
        for k in range(40)
    ]
    right = [item.reference for item in items]
    scores = table_scores(
        items, {EVIL: ["other"] * 20 + right[20:], "good": right}, LABELS, replicates=100
    )
    system = SystemFindings(
        system=EVIL,
        form="closed",
        n=40,
        other=20,
        extracted_by=Counter({"letter": 20, "none": 20}),
        grouped_by=Counter({"options": 20, "none": 20}),
        faults=Counter({EVIL: 20}),
        parts=Counter({"reason: unclosed": 3}),
        reasons=5,
        word_errors=WordErrorRate(0.25, 0.2, 0.3, 120, 4, 0.8),
        letters=(LetterUse("A", 0.75, 0.5), LetterUse("B", 0.25, 0.5)),
    )
    return ClassifyFindings(
        systems=(system,),
        scores={"closed": scores},
        groups=(Decision(EVIL, "anger", "model m", 7),),
        agreement=(Agreement("all", 10, 9, 0.6, 0.98),),
        sampled=50,
    )


def test_every_finding_stands_on_the_page_and_nothing_can_run() -> None:
    page = html_classified(findings(), record())
    assert "<script" not in page
    assert "default-src 'none'" in page
    text = re.sub(r"<[^>]+>", " ", page)
    for words in (
        "good is better than",
        "100.0 [100.0, 100.0]*",
        "all, MV (n = 40)",
        "agreement &gt; 0.5, All (n = 26)",
        "reason: unclosed",
        "25.0 [20.0, 30.0]",
        "80.0 %",
        "75.0 %",
        "90.0 [60.0, 98.0]",
        "model m",
    ):
        assert words in text, words


def test_the_terminal_has_one_table_for_each_form() -> None:
    (table,) = terminal_tables(findings())
    assert [column.header for column in table.columns][:2] == ["closed form", "all: MV"]
    assert [*table.columns[1].cells][1] == "100.0*"
    assert [*table.columns[-1].cells] == ["20", "0"]


def test_a_tie_is_called_a_tie() -> None:
    items = [LabelledItem(f"u{k}", None, "anger", frozenset({"anger"}), True) for k in range(9)]
    same = table_scores(items, {"a": ["anger"] * 9, "b": ["anger"] * 9}, LABELS, replicates=100)
    tied = ClassifyFindings((), {"open": same}, (), (), 0)
    assert headline(tied) == (
        "b is not better than a by more than chance: 0.0 [0.0, 0.0] on the open form (points of "
        "macro-F1 against the majority)."
    )
    three = {name: ["anger"] * 9 for name in ("a", "b", "c")}
    tied = ClassifyFindings((), {"open": table_scores(items, three, LABELS)}, (), (), 0)
    assert headline(tied).startswith("No system is better than the one it is compared with")
    both = table_scores(
        items, {"a": ["fear"] * 9, "b": ["anger"] * 9, "c": ["anger"] * 9}, LABELS, against="a"
    )
    grouped = ClassifyFindings((), {"open": both, "closed": both}, (), (), 0)
    assert headline(grouped).startswith("b and c are better than a on the open and the closed form")
    alone = table_scores(items, {"a": ["anger"] * 9}, LABELS, replicates=100)
    assert headline(ClassifyFindings((), {"open": alone}, (), (), 0)).startswith("One system")
