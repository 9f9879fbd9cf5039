"""What corpora tell of an utterance beside its labels, and users' own columns. Invented content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from corpus_folder import CLIP, CorpusFolder

from raypipe.corpora.emodb import SPEAKERS
from raypipe.corpora.facts import LONGEST_FACT, other_columns
from raypipe.corpora.kaldi import pending_kaldi
from raypipe.corpora.manifest import pending_manifest
from raypipe.corpora.pending import read_ahead
from raypipe.labels import LabelSet
from raypipe.records import Utterance
from raypipe.store.tables import utterance_from_row, utterance_row

LABELS = LabelSet(("anger", "happiness", "sadness"))
DEMOGRAPHICS = Path(__file__).parents[2] / "../shared/data/crema_d/VideoDemographics.csv"
VOTES = '"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"\n'


def facts(folder: CorpusFolder, corpus: str, **options: object) -> dict[str, dict[str, str]]:
    found = folder.read(corpus, **options)
    return {name: dict(utterance.facts) for name, utterance in found.items()}


def test_crema_d_tells_of_its_actors_and_of_what_they_were_asked_for(folder: CorpusFolder) -> None:
    folder.file(
        "tabulatedVotes.csv",
        VOTES
        + '"100001",0,0,0,0,3,0,"1001_IEO_ANG_HI",3,1,"N"\n'
        + '"100002",0,0,0,0,3,0,"1099_TIE_NEU_XX",3,1,"N"\n',
    )
    folder.file(
        "VideoDemographics.csv",
        '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n',
    )
    folder.clips("AudioWAV", "1001_IEO_ANG_HI", "1099_TIE_NEU_XX")
    actor = {"age": "51", "gender": "male", "race": "Caucasian", "ethnicity": "Not Hispanic"}
    asked = {"intended": "anger", "intensity": "high", "sentence": "IEO"}
    assert facts(folder, "crema-d") == {
        "1001_IEO_ANG_HI": actor | asked,
        "1099_TIE_NEU_XX": {"intended": "neutral", "sentence": "TIE"},
    }


def test_crema_d_s_own_file_has_48_men_and_43_women(folder: CorpusFolder) -> None:
    if not DEMOGRAPHICS.exists():
        pytest.skip("CREMA-D's files are not beside this checkout")
    rows = [f'"{100000 + actor}",0,0,0,0,3,0,"{actor}_IEO_NEU_XX",3,1,"N"\n' for actor in ACTORS]
    folder.file("tabulatedVotes.csv", VOTES + "".join(rows))
    folder.file("VideoDemographics.csv", DEMOGRAPHICS.read_bytes())
    folder.clips("AudioWAV", *(f"{actor}_IEO_NEU_XX" for actor in ACTORS))
    told = facts(folder, "crema-d").values()
    assert [sum(clip["gender"] == which for clip in told) for which in ("male", "female")] == [
        48,
        43,
    ]
    assert (min(int(clip["age"]) for clip in told), max(int(clip["age"]) for clip in told)) == (
        20,
        74,
    )


ACTORS = range(1001, 1092)


def test_a_bad_line_about_an_actor_costs_no_clip(folder: CorpusFolder) -> None:
    folder.file("tabulatedVotes.csv", VOTES + '"100001",0,0,0,0,3,0,"1001_IEO_ANG_HI",3,1,"N"\n')
    folder.file("VideoDemographics.csv", b'"ActorID","Age","Sex"\n1001,51,"M\xe9le"\n')
    folder.clips("AudioWAV", "1001_IEO_ANG_HI")
    found, failures = folder.read_all("crema-d")
    assert list(found) == ["1001_IEO_ANG_HI"]
    assert [(fault.error_type, fault.utterance_id) for fault in failures] == [("not_unicode", None)]


def test_ravdess_names_tell_gender_and_intensity(folder: CorpusFolder) -> None:
    folder.clips("Actor_12", "03-01-06-01-02-01-12")
    folder.clips("Actor_01", "03-02-02-02-01-02-01")
    assert facts(folder, "ravdess", channel="both") == {
        "03-01-06-01-02-01-12": {
            **{"gender": "female", "intended": "fear", "intensity": "normal", "vocal": "speech"}
        },
        "03-02-02-02-01-02-01": {
            **{"gender": "male", "intended": "calm", "intensity": "strong", "vocal": "song"}
        },
    }


def test_emodb_has_five_men_and_five_women(folder: CorpusFolder) -> None:
    folder.clips("wav", "03a01Wa", "16b10Fb")
    assert facts(folder, "emodb") == {
        "03a01Wa": {"gender": "male", "age": "31", "intended": "anger"},
        "16b10Fb": {"gender": "female", "age": "31", "intended": "happiness"},
    }
    men = sorted(name for name, told in SPEAKERS.items() if told["gender"] == "male")
    assert men == ["03", "10", "11", "12", "15"]  # shared/corpora.md, section 6


def test_iemocap_names_tell_gender_session_and_kind(folder: CorpusFolder) -> None:
    lines = "".join(
        f"[1.0 - 2.0]\t{name}\tneu\t[2.5, 3.0, 3.5]\nC-E1:\tNeutral;\t()\n\n"
        for name in ("Ses03M_impro05a_F000", "Ses03M_impro05a_M000")
    )
    folder.file("Session3/dialog/EmoEvaluation/Ses03M_impro05a.txt", lines)
    folder.clips("Session3/sentences/wav/d", "Ses03M_impro05a_F000", "Ses03M_impro05a_M000")
    told = {"session": "3", "dialogue": "improvised"}
    assert facts(folder, "iemocap") == {
        "Ses03M_impro05a_F000": {"gender": "female", **told},
        "Ses03M_impro05a_M000": {"gender": "male", **told},
    }


def test_msp_improv_names_tell_gender_session_and_scenario(folder: CorpusFolder) -> None:
    folder.file(
        "Evaluation.txt",
        "UTD-IMPROV-S02H-M06-T-MF03.avi; N; A:2.0; V:3.0; D:3.0 ; N:3.0;\n"
        "WORKER_12; Neutral; ; A:3; V:3; D:3; N:4;\n",
    )
    folder.clips("Audio", "MSP-IMPROV-S02H-M06-T-MF03")
    assert facts(folder, "msp-improv") == {
        "MSP-IMPROV-S02H-M06-T-MF03": {
            **{"gender": "male", "session": "6", "scenario": "T", "intended": "happiness"}
        }
    }


def test_msp_podcast_takes_genders_from_either_file(folder: CorpusFolder) -> None:
    blocks = "".join(
        f"{stem}.wav; N; A:1; V:1; D:1;\nWORKER1; Neutral; ; A:1; V:1; D:1;\n\n" for stem in "abc"
    )
    folder.file("labels.txt", blocks)
    folder.file("Speaker_ids.txt", "Speaker_1; Male\nSpeaker_2; Unknown\na.wav;1\nb.wav;2\n")
    folder.file(
        "labels_consensus.csv",
        "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
        "c.wav,N,2.2,4.0,2.6,30,Female,Test1\n",
    )
    folder.clips("Audios", *"abc")
    assert facts(folder, "msp-podcast") == {
        "a": {"gender": "male"},
        "b": {},
        "c": {"gender": "female"},
    }


def test_meld_rows_tell_of_the_episode(folder: CorpusFolder) -> None:
    folder.file(
        "train_sent_emo.csv",
        "Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode\n"
        "Well.,Ann,neutral,neutral,0,0,8,21\n",
    )
    folder.clips("train_splits", "dia0_utt0")
    assert facts(folder, "meld") == {
        "train_dia0_utt0": {"sentiment": "neutral", "season": "8", "episode": "21"}
    }


def test_a_manifest_s_other_columns_are_facts(folder: CorpusFolder) -> None:
    folder.file("a.wav", CLIP)
    folder.file(
        "corpus.csv",
        "id,audio,votes,gender,age,language,snr,remark\n"
        "a,a.wav,anger|anger,F,31.0,sv,12.5,nan\n"
        "b,a.wav,anger,,,sv, ,x\n",
    )
    folder.file(
        "corpus.jsonl",
        json.dumps(
            {"id": "a", "audio": "a.wav", "votes": ["anger"], "age": 31.0, "noisy": True, "x": [1]}
            | {"note": "y" * (LONGEST_FACT + 1), "snr": -2.5, "none": None, "two": "a\nb"}
        ),
    )
    for name, told in (
        (
            "corpus.csv",
            [
                {"gender": "F", "age": "31.0", "language": "sv", "snr": "12.5"},
                {"language": "sv", "remark": "x"},
            ],
        ),
        ("corpus.jsonl", [{"age": "31", "noisy": "true", "snr": "-2.5"}]),
    ):
        rows = list(read_ahead(pending_manifest(str(folder.root / name), LABELS)))
        assert [dict(row.facts) for row in rows if isinstance(row, Utterance)] == told


def test_kaldi_tells_language_and_gender(folder: CorpusFolder) -> None:
    folder.file("wavs/r1.wav", CLIP)
    folder.file("wav.scp", "u1 wavs/r1.wav\n")
    folder.file("utt2spk", "u1 s1\n")
    folder.file("utt2lang", "u1 sv\n")
    folder.file("spk2gender", "s1 f\n")
    [row] = read_ahead(pending_kaldi(str(folder.root), LABELS))
    assert isinstance(row, Utterance)
    assert row.facts == {"language": "sv", "gender": "female"}


def test_facts_of_hostile_names_and_values_are_left_out() -> None:
    assert other_columns({"a\x1bb": "x", "ok": "a\u0000b", " ": "y", "z": "z"}) == {"z": "z"}


def test_facts_survive_a_shard() -> None:
    made = Utterance("a", "d", None, None, CLIP, 16_000, 0.1, facts={"gender": "female"})
    assert utterance_from_row(utterance_row(made)).facts == {"gender": "female"}
