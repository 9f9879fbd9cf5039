"""CREMA-D's published figures come out of ``raypipe inspect``, from its folder through shards."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import krippendorff
import numpy as np
import pytest
from corpus_folder import CorpusFolder

from raypipe.corpora import load_corpus, selection
from raypipe.reporting.corpus.findings import Findings
from raypipe.reporting.corpus.inspect import inspect_shards
from raypipe.shards import write_shards
from raypipe.store.location import Location

EXCERPT = Path(__file__).parents[2] / "corpora" / "crema_d_excerpt.csv"
LABELS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
TABLE = "processedResults/tabulatedVotes.csv"
DIGITS = {"voice": "1", "face": "2", "audio_visual": "3"}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> CorpusFolder:
    """The published table with a short tone in place of each of the 7,442 recordings."""
    table = shared_data / "crema_d" / "tabulatedVotes.csv"
    return filled(CorpusFolder(tmp_path_factory.mktemp("crema-d")), table)


def filled(folder: CorpusFolder, table: Path, modality: str = "voice") -> CorpusFolder:
    folder.file(TABLE, table.read_bytes())
    folder.clips("AudioWAV", *(row["fileName"] for row in rows_of(table, modality)))
    return folder


def inspected(folder: CorpusFolder, shards: Path, modality: str) -> Findings:
    corpus = load_corpus("crema-d", {"modality": modality})
    chosen = selection(corpus)
    place = Location.parse(str(shards))
    write_shards(
        corpus.read(folder.location),
        place,
        chosen.labels,
        fixed_sentences=True,
        policy=chosen.policy,
        source=corpus.title,
    )
    return inspect_shards(place)


def rows_of(table: Path, modality: str) -> list[dict[str, str]]:
    with table.open(newline="") as text:
        return [row for row in csv.DictReader(text) if row[""].startswith(DIGITS[modality])]


def alpha_of(table: Path, modality: str) -> float:
    """Another library's Krippendorff's alpha, straight from the table."""
    counts = [[int(row[letter]) for letter in "ADFHNS"] for row in rows_of(table, modality)]
    return float(krippendorff.alpha(value_counts=np.array(counts), level_of_measurement="nominal"))


def by_label(found: Findings, field: str) -> dict[str, float]:
    return {one.label: getattr(one, field) for one in found.labels}


def test_the_excerpt_gives_these_figures(folder: CorpusFolder, tmp_path: Path) -> None:
    """The counts of tests/corpora/test_crema_d.py, which come from awk."""
    found = inspected(filled(folder, EXCERPT), tmp_path / "shards", "voice")
    assert (found.utterances, found.votes.counted, found.failed.inputs) == (200, 1843, 0)
    assert by_label(found, "plurality") == dict(zip(LABELS, [25, 17, 18, 4, 104, 11], strict=True))
    assert sum(found.votes.ties.values()) == found.votes.no_reference == 21
    assert found.votes.majority == 126
    assert found.agreement.krippendorff_alpha == pytest.approx(alpha_of(EXCERPT, "voice"))
    assert found.annotators.numbered


def test_the_excerpt_s_face_votes_by_option(folder: CorpusFolder, tmp_path: Path) -> None:
    found = inspected(filled(folder, EXCERPT, "face"), tmp_path / "shards", "face")
    table = rows_of(EXCERPT, "face")
    assert found.utterances == len(table) == 20
    assert found.votes.counted == sum(int(row["numResponses"]) for row in table)
    assert sum(found.votes.ties.values()) == sum(":" in row["emoVote"] for row in table)


def test_the_published_table_gives_the_published_figures(
    published: CorpusFolder, tmp_path: Path
) -> None:
    found = inspected(published, tmp_path / "shards", "voice")
    assert (found.utterances, found.votes.counted) == (7442, 68_568)
    assert by_label(found, "votes") == dict(
        zip(LABELS, [9863, 8851, 8212, 4590, 30_152, 6900], strict=True)
    )
    assert by_label(found, "plurality") == dict(
        zip(LABELS, [986, 547, 645, 353, 3897, 370], strict=True)
    )
    assert by_label(found, "majority") == dict(
        zip(LABELS, [790, 289, 416, 262, 3054, 201], strict=True)
    )
    assert found.votes.ties == {2: 574, 3: 59, 4: 10, 5: 1}
    assert (found.votes.no_reference, found.votes.majority) == (644, 5012)
    assert found.votes.unanimous == 383
    assert found.votes.per_utterance == {
        4: 2, 5: 9, 6: 57, 7: 316, 8: 1155, 9: 2663, 10: 2890, 11: 346, 12: 4
    }  # fmt: skip
    assert [one.utterances for one in found.entropy.steps] == [383, 370, 2193, 2283, 1887, 326]
    assert found.entropy.spread is not None
    figures = (found.entropy.spread.mean, found.entropy.spread.median, found.entropy.spread.maximum)
    assert figures == pytest.approx((1.196, 1.295, 2.522), abs=5e-4)
    assert found.entropy.mean_nats == pytest.approx(0.829, abs=5e-4)
    assert found.entropy.largest == pytest.approx(math.log2(6))
    assert found.agreement.krippendorff_alpha == pytest.approx(
        alpha_of(published.root / TABLE, "voice")
    )
    assert (found.agreement.fewest, found.agreement.most) == (4, 12)
    assert (found.speakers.distinct, found.votes.not_from_votes) == (91, 0)


@pytest.mark.parametrize(
    ("modality", "votes", "ties", "entropy"),
    [("face", 71_654, 470, 1.009), ("audio_visual", 71_778, 420, 0.924)],
)
def test_face_and_audio_visual_votes_by_option(
    published: CorpusFolder,
    tmp_path: Path,
    modality: str,
    votes: int,
    ties: int,
    entropy: float,
) -> None:
    found = inspected(published, tmp_path / "shards", modality)
    assert (found.utterances, found.votes.counted) == (7442, votes)
    assert sum(found.votes.ties.values()) == ties
    assert found.entropy.spread is not None
    assert found.entropy.spread.mean == pytest.approx(entropy, abs=5e-4)
    assert found.agreement.krippendorff_alpha == pytest.approx(
        alpha_of(published.root / TABLE, modality)
    )
