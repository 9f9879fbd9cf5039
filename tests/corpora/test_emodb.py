"""Emo-DB: German letters, any rate."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from corpus_folder import CLIP, CorpusFolder, clip

from raypipe.corpora import load_corpus, selection
from raypipe.errors import CorpusError
from raypipe.records import Utterance, Vote
from raypipe.store.location import Location
from raypipe.votes import labelled


def test_letters_are_german(folder: CorpusFolder) -> None:
    folder.clips("wav", "03a01Wa", "03a01Ac", "16b10Fb")
    folder.file("wav/08a02Tb.wav", clip(sampling_rate=22_050))
    folder.file("erkennung.txt", "Nr.\tSatz\terkannt\tnatuerlich\n", "latin-1")
    found = folder.read("emodb")
    words = {name: one.votes for name, one in found.items()}
    assert words == {
        "03a01Ac": (Vote("intended", ("fear",)),),
        "03a01Wa": (Vote("intended", ("anger",)),),
        "08a02Tb": (Vote("intended", ("sadness",)),),
        "16b10Fb": (Vote("intended", ("happiness",)),),
    }
    assert found["08a02Tb"].sampling_rate == 22_050
    assert (found["16b10Fb"].speaker, found["16b10Fb"].transcript) == (
        "16",
        "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
    )


def test_wrong_files_cost_themselves(folder: CorpusFolder) -> None:
    folder.clips("wav", "03a01Wa", "03a03Wa", "03a01Xa")
    folder.file("wav/03a02Wa.wav", CLIP[:200])
    folder.file("wav/03a04Wa.wav", b"")
    found, failures = folder.read_all("emodb")
    assert list(found) == ["03a01Wa"]
    assert {f.utterance_id: f.error_type for f in failures} == {
        "03a01Xa": "bad_name",
        "03a02Wa": "truncated",
        "03a03Wa": "bad_name",
        "03a04Wa": "empty",
    }


def test_the_real_clips_are_read_without_a_failure(shared_data: Path) -> None:
    corpus = load_corpus("emodb")
    chosen = selection(corpus)
    rows = list(corpus.read(Location.parse(str(shared_data / "emodb"))))
    clips = [
        labelled(row, chosen.labels, chosen.policy) for row in rows if isinstance(row, Utterance)
    ]
    found = [one for one in clips if isinstance(one, Utterance)]
    assert len(found) == len(rows) == 408
    assert {one.plurality for one in found} == {*chosen.labels.names}
    speakers = Counter(one.speaker for one in found)
    assert set(speakers) == {"03", *(f"{n:02d}" for n in range(8, 15))}
    assert all(0.9 < one.duration_s < 10 for one in found)


PERCEPTION = (
    "Nr.\tSatz\terkannt\tnatuerlich\n"
    "3\xa0\xa0\t03a01Fa.wav\t90,00\xa0\xa0\xa0\xa0\xa0\t75,00\xa0\xa0\xa0\xa0\xa0\n"
    "4\xa0\xa0\t03a01Wa.wav\t95,24\xa0\xa0\xa0\xa0\xa0\t59,99\xa0\xa0\xa0\xa0\xa0\n"
    "10\xa0\xa0\t08a01Ec.wav\t60,00\xa0\xa0\xa0\xa0\xa0\t20,00\xa0\xa0\xa0\xa0\xa0\n"
)


def test_the_perception_test_selects(folder: CorpusFolder) -> None:
    folder.file("erkennung.txt", PERCEPTION, "latin-1")
    folder.clips("wav", "03a01Fa", "03a01Wa", "08a01Ec")
    assert list(folder.read("emodb")) == ["03a01Fa", "03a01Wa", "08a01Ec"]
    assert list(folder.read("emodb", recognised=80)) == ["03a01Fa", "03a01Wa"]
    assert list(folder.read("emodb", recognised=80, natural=60)) == ["03a01Fa"]
    assert list(folder.read("emodb", natural=75)) == ["03a01Fa"]


def test_a_torn_perception_test_is_told(folder: CorpusFolder) -> None:
    lines = "5\t03a01Nc.wav\tviele\t75,00\n6\t03a02Nc.wav\t80,00\n7\t03a01Fa.wav\t80,00\t80,00\n"
    folder.file("erkennung.txt", PERCEPTION + lines, "latin-1")
    folder.clips("wav", "03a01Fa", "03a01Nc", "17a01Fa")
    found, failures = folder.read_all("emodb", recognised=80)
    assert list(found) == ["03a01Fa"]
    assert [(f.utterance_id, f.error_type) for f in failures] == [
        ("03a01Nc", "bad_number"),
        (None, "bad_csv"),
        ("03a01Fa", "duplicate_id"),
        ("03a01Nc", "no_votes"),
        ("17a01Fa", "bad_name"),
    ]
    assert failures[0].message.startswith("erkennung.txt line 5: erkannt is no percentage: 'viele'")
    with pytest.raises(CorpusError, match=r"no erkennung\.txt"):
        CorpusFolder(folder.root / "wav").read("emodb", natural=60)
