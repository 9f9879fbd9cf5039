"""MSP-IMPROV: video names, inverted activation, copied lines. All content is invented."""

from __future__ import annotations

import pytest
from corpus_folder import CorpusFolder

from raypipe.records import Vote

EVALUATION = """UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.600000; V:3.200000; D:3.000000 ; N:3.800000;
WORKER_12; Neutral; Neutral,Excited; A:3.000000; V:3.000000; D:NaN; N:4.000000;
WORKER_13; Other-bored; ; A:1.000000; V:3.000000; D:2.000000; N:NaN;
WORKER_12; Neutral; Neutral,Excited; A:3.000000; V:3.000000; D:NaN; N:4.000000;
WORKER_14; Neutral; Neutral; A:5.000000; V:2.000000; D:2.000000; N:4.000000;

UTD-IMPROV-S02H-M06-T-MF03.avi; X; A:2.0; V:3.0; D:3.0 ; N:3.0;
WORKER_12; Happy; ; A:3; V:3; D:3; N:4;
WORKER_15; Sad; ; A:3; V:3; D:3; N:4;

UTD-IMPROV-S02-wrong.avi; N; A:2.0; V:3.0; D:3.0 ; N:3.0;
WORKER_12; Happy; ; A:3; V:3; D:3; N:4;
"""
FIRST, SECOND = "MSP-IMPROV-S01A-F01-P-FM01", "MSP-IMPROV-S02H-M06-T-MF03"


@pytest.mark.parametrize("name", ["Evaluation.txt", "Evalution.txt"])
def test_clips_are_read(folder: CorpusFolder, name: str) -> None:
    folder.file(name, EVALUATION)
    folder.clips("session1/S01A/P", FIRST)
    folder.clips("Audio/session6/S02H/T", SECOND, "MSP-IMPROV-S03A-F01-P-FM01")
    folder.file(f"transcripts/{FIRST}.txt", "Well, maybe.")
    found, failures = folder.read_all("msp-improv")
    assert list(found) == [FIRST, SECOND]
    clip = found[FIRST]
    assert clip.votes == (
        Vote("WORKER_12", ("neutral", "neutral", "excitement"), None, 3.0, 3.0, None),
        Vote("WORKER_13", ("other",), "bored", 5.0, 3.0, 2.0),
        Vote("WORKER_14", ("neutral", "neutral"), None, 1.0, 2.0, 2.0),
    )
    assert (clip.arousal, clip.valence, clip.dominance) == (3.4, 3.2, 3.0)
    assert (clip.speaker, clip.split, clip.consensus) == ("F01", "session1", "neutral")
    assert clip.transcript == "Well, maybe."
    assert (found[SECOND].consensus, found[SECOND].split) == ("no_agreement", "session6")
    assert [f.error_type for f in failures] == ["bad_name", "no_votes"]
    assert failures[0].message.startswith(f"{name} line 11: ")
