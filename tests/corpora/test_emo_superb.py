"""EMO-SUPERB's label tables: smoothing undone, and only where it was done."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from corpus_folder import CorpusFolder

from raypipe.corpora.emo_superb import SMOOTHING, pending_emo_superb, unsmoothed
from raypipe.corpora.fields import BadLineError
from raypipe.corpora.pending import read_ahead
from raypipe.corpora.readers import ReadRequest
from raypipe.corpora.sources import open_source
from raypipe.errors import ConfigError, CorpusError
from raypipe.labels import LABEL_SETS, LabelSet
from raypipe.records import Failure, Utterance
from raypipe.votes import VotePolicy

CREMA_D = LABEL_SETS["crema-d-6"]  # anger, disgust, fear, happiness, neutral, sadness
HEADER = "FileName,angry,sad,disgust,fear,neutral,happy,SpkrID,Gender,Split_Set\n"
TABLE = "CREMA-D/Primary/labels_consensus_1.csv"


def smoothed(shares: np.ndarray, digits: int) -> list[str]:
    """The published direction, in floating point and rounded as numpy prints it."""
    count = len(shares)
    values = 0.95 * shares + (1 - shares) * 0.05 / (count - 1)
    return [str(value) for value in np.round(values, digits)]


def read(folder: CorpusFolder, labels: LabelSet = CREMA_D, **options: Any) -> list[Any]:
    table = str(folder.root / options.pop("table", TABLE))
    return list(read_ahead(pending_emo_superb(table, labels, **options)))


def test_smoothing_is_undone_for_every_number_of_votes() -> None:
    generator = np.random.default_rng(3)
    for count in (2, 4, 6, 8, 9, 16):
        for annotators in range(1, 13):
            votes = generator.multinomial(annotators, np.full(count, 1 / count))
            shares = votes / annotators
            row = [Decimal(text) for text in smoothed(shares, 6)]
            found = unsmoothed(row)
            assert sum(found) == pytest.approx(1)
            np.testing.assert_allclose([float(share) for share in found], shares, atol=3e-6)


@pytest.mark.parametrize(
    "row",
    [
        ["1.0", "0.0", "0.0"],  # never smoothed
        ["0.5", "0.5", "0.0"],
        ["0.951", "0.025", "0.025"],
        ["0.024", "0.5", "0.476"],
        ["0.5", "0.4", "0.2"],
        ["0.0249989", "0.4875", "0.4875011"],
    ],
)
def test_what_smoothing_cannot_give_is_refused(row: list[str]) -> None:
    with pytest.raises(BadLineError, match=r"cannot come from smoothing|sum to"):
        unsmoothed([Decimal(text) for text in row])


def test_published_rows_are_the_published_votes(folder: CorpusFolder) -> None:
    """Two clips of CREMA-D and their rows in tabulatedVotes.csv (D 1, N 6, S 2; F 10)."""
    folder.file(
        TABLE,
        HEADER
        + "1045_WSI_FEA_XX.wav,0.01,0.218889,0.114444,0.01,0.636667,0.01,1045,Male,Train\n"
        + "1064_TSI_FEA_XX.wav,0.01,0.01,0.01,0.95,0.01,0.01,1064,Male,Development\n",
    )
    folder.clips("CREMA-D/Audios", "1045_WSI_FEA_XX", "1064_TSI_FEA_XX")
    mixed, sure = read(folder, invert_smoothing=True)
    assert mixed.soft_label == pytest.approx((0, 1 / 9, 0, 0, 6 / 9, 2 / 9), abs=1e-6)
    assert sure.soft_label == (0, 0, 1, 0, 0, 0)
    assert (mixed.speaker, mixed.split, mixed.dataset) == ("1045", "Train", "CREMA-D")
    kept, _ = read(folder)
    assert kept.soft_label == pytest.approx((0.01, 0.114444, 0.01, 0.01, 0.636667, 0.218889))


def test_recordings_are_found_anywhere_below_the_root(folder: CorpusFolder) -> None:
    folder.file(TABLE, HEADER + "1045_WSI_FEA_XX.wav,0.95,0.01,0.01,0.01,0.01,0.01,1,Male,Train\n")
    folder.clips("elsewhere/AudioWAV", "1045_WSI_FEA_XX")
    [found] = read(folder, audio_root=str(folder.root / "elsewhere"))
    assert isinstance(found, Utterance)


def test_each_fault_costs_one_row_and_names_it(folder: CorpusFolder) -> None:
    good = "0.95,0.01,0.01,0.01,0.01,0.01,1,Male,Train\n"
    folder.file(
        TABLE,
        (
            HEADER
            + f"a.wav,{good}"
            + "b.wav,1.0,0.0,0.0,0.0,0.0,0.0,1,Male,Train\n"
            + "c.wav,0.95,0.01,0.01,0.01,x,0.01,1,Male,Train\n"
            + "d.wav,0.95,0.01\n"
            + f"e.wav,{good}"
            + f",{good}"
            + "f.wav,0.5,0.5,0.5,0.01,0.01,0.01,1,Male,Train\n"
            + "g.wav,0.95,0.01,0.01,0.01,NaN,0.01,1,Male,Train\n"
        ).encode()
        + b"h\xe9.wav,"
        + f"{good}a.wav,{good}i.wav,{good}".encode(),
    )
    folder.clips("CREMA-D/Audios", *"abcfghi")
    rows = read(folder, invert_smoothing=True)
    assert [one.utterance_id for one in rows if isinstance(one, Utterance)] == ["a", "i"]
    failures = [one for one in rows if isinstance(one, Failure)]
    name = "labels_consensus_1.csv line"
    expected = [
        ("b", "bad_soft_label", f"{name} 3: 1.0 cannot come from smoothing by 0.05 over 6"),
        ("c", "bad_soft_label", f"{name} 4: neutral is no share: 'x'"),
        (None, "bad_csv", f"{name} 5: "),
        ("e", "missing_audio", f"{name} 6: "),
        (None, "missing_id", f"{name} 7: "),
        ("f", "bad_soft_label", f"{name} 8: the emotions sum to 1.53"),
        ("g", "bad_soft_label", f"{name} 9: neutral is no share: 'NaN'"),
        (None, "not_unicode", f"{name} 10: "),
        ("a", "duplicate_id", f"{name} 11: "),
    ]
    assert [(f.utterance_id, f.error_type) for f in failures] == [one[:2] for one in expected]
    for failure, (*_, message) in zip(failures, expected, strict=True):
        assert failure.message.startswith(message)


def test_the_config_names_the_emotions(folder: CorpusFolder) -> None:
    folder.file("IMPROV/Primary/config.json", json.dumps(config("angry", "sad", "neutral")))
    table = "IMPROV/Primary/labels_consensus_1.csv"
    folder.file(
        table,
        "FileName,angry,sad,neutral,odd,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
        "MSP-IMPROV-S01A-F02-R-FF01.wav,0.95,0.025,0.025,7,4.4,1.2,,02,Female,Train\n",
    )
    folder.clips("IMPROV/Audios", "MSP-IMPROV-S01A-F02-R-FF01")
    [found] = read(folder, LABEL_SETS["msp-improv-4"], table=table, invert_smoothing=True)
    assert found.soft_label == (1, 0, 0, 0)
    assert (found.arousal, found.valence, found.dominance) == (4.4, 1.2, None)
    folder.file("IMPROV/Primary/config.json", json.dumps(config("angry", "joy")))
    with pytest.raises(CorpusError, match=r"but not \['joy'\]"):
        read(folder, LABEL_SETS["msp-improv-4"], table=table)
    folder.file("IMPROV/Primary/config.json", "{")
    with pytest.raises(CorpusError, match=r"config\.json cannot be read"):
        read(folder, LABEL_SETS["msp-improv-4"], table=table)


def config(*emotions: str) -> dict[str, Any]:
    scale = {"max_score": 5, "min_score": 1, "flip_aro": "True"}
    return {"categorical": {"emo_type": emotions}, "dimensional": scale}


def test_emotions_outside_the_labels_are_dropped_only_when_named(folder: CorpusFolder) -> None:
    table = "PODCAST/Secondary/labels_consensus_1.csv"
    folder.file(
        table,
        "FileName,angry,annoyed,happy,SpkrID,Gender,Split_Set\n"
        "a.wav,0.4875,0.4875,0.025,1,Male,Train\nb.wav,0.025,0.95,0.025,1,Male,Train\n",
    )
    folder.clips("PODCAST/Audios", "a", "b")
    labels = LABEL_SETS["msp-podcast-4"]
    with pytest.raises(CorpusError, match="the emotion 'annoyed' is none of anger"):
        read(folder, labels, table=table)
    a, b = read(folder, labels, table=table, other_labels=["Annoyed"], invert_smoothing=True)
    assert a.soft_label == (1, 0, 0, 0)  # annoyed is no word for anger here
    assert b.soft_label is None


def test_typed_descriptions_are_kept(folder: CorpusFolder) -> None:
    """The tables for the language model: no name above the clips, not smoothed, some sums wrong."""
    table = "chatGPT/input_train.csv"
    folder.file(
        table,
        ",angry,sad,happy,words\n"
        'MSP-PODCAST_0901_0028.wav,0.0,0.75,0.25,"Concerned,Interest"\n'
        "MSP-PODCAST_0901_0144.wav,0.333333333,0.333333333,0.333333333,Excited\t\n"
        "MSP-PODCAST_0901_0145.wav,0.0,0.0,0.0,Curious\n"
        "MSP-PODCAST_0901_0146.wav,0.5,0.0,0.0,Curious\n",
    )
    stems = [f"MSP-PODCAST_0901_{number:04d}" for number in (28, 144, 145, 146)]
    folder.clips("Audios", *stems)
    labels = LabelSet(("anger", "happiness", "sadness"))
    first, second, third, failure = read(folder, labels, table=table)
    assert first.soft_label == (0, 0.25, 0.75)
    assert first.votes[0].typed == "Concerned,Interest"
    assert second.votes[0].typed == "Excited"
    assert second.soft_label == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert (third.soft_label, third.votes[0].labels) == (None, ())
    assert failure.error_type == "bad_soft_label"


def test_it_is_in_the_table_of_readers(folder: CorpusFolder) -> None:
    folder.file(TABLE, HEADER + "a.wav,0.95,0.01,0.01,0.01,0.01,0.01,1,Male,Train\n")
    folder.clips("CREMA-D/Audios", "a")
    source = open_source("emo-superb", {"invert_smoothing": "true"})
    reading = ReadRequest(str(folder.root / TABLE), None, CREMA_D, VotePolicy())
    [clip] = source.open(reading)
    assert clip.utterance.soft_label == (1, 0, 0, 0, 0, 0)
    wrong = open_source("emo-superb", {"invert_smoothing": True, "smoothing": 0.9})
    with pytest.raises(ConfigError, match=r"smoothing is 0\.9, not between 0 and 1 - 1/6"):
        list(wrong.open(reading))
    assert Decimal("0.05") == SMOOTHING
