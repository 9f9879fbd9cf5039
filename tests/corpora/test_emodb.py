"""Emo-DB: German letters, any rate."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from corpus_folder import CLIP, CorpusFolder, clip

from raypipe.corpora import load_corpus, selection
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
