"""MSP-Podcast: one set of votes in every release's layout. All content is invented."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from corpus_folder import CorpusFolder

from raypipe.corpora import load_corpus, selection
from raypipe.corpora.msp_votes import worker_line
from raypipe.records import Utterance, Vote
from raypipe.shards import read_shard, write_shards
from raypipe.store.location import Location
from raypipe.votes import Excluded, consensus, labelled

# clip, worker, primary, secondary, arousal, valence, dominance
VOTES = [
    ("MSP-PODCAST_0901_0008", "WORKER0000001", "Neutral", "Neutral", "1", "4", "1"),
    (
        "MSP-PODCAST_0901_0008",
        "WORKER0000002",
        "Other-concerned",
        "Neutral,Concerned,Other-Curious",
        "3",
        "3",
        "4",
    ),
    ("MSP-PODCAST_0901_0008", "WORKER00000003", "Neutral", "", "2", "NaN", "3"),
    ("MSP-PODCAST_0901_0011", "WORKER0000001", "Angry", "Annoyed", "5", "2", "5"),
    ("MSP-PODCAST_0901_0011", "WORKER0000002", "Sad", "Depressed,Frustrated", "3", "1", ""),
    ("MSP-PODCAST_0901_0011", "WORKER0000004", "Other-", "", "4", "4", "4"),
    ("MSP-PODCAST_0901_0020", "WORKER0000001", "Happy", "Excited,Amused", "6", "6", "6"),
    (
        "MSP-PODCAST_0901_0020",
        "WORKER0000005",
        "Other- a/b, [c(\t",
        "Other-x, y,Fear",
        "4",
        "5",
        "4",
    ),
    ("MSP-PODCAST_0901_0020", "WORKER0000005", "Happy", "Happy", "7", "6", "6"),
]
STEMS = list(dict.fromkeys(row[0] for row in VOTES))
EXPECTED = {
    STEMS[0]: (
        Vote("WORKER0000001", ("neutral", "neutral"), None, 1.0, 4.0, 1.0),
        Vote(
            "WORKER0000002",
            ("other", "neutral", "concerned", "other"),
            "concerned; Curious",
            3.0,
            3.0,
            4.0,
        ),
        Vote("WORKER00000003", ("neutral",), None, 2.0, None, 3.0),
    ),
    STEMS[1]: (
        Vote("WORKER0000001", ("anger", "annoyed"), None, 5.0, 2.0, 5.0),
        Vote("WORKER0000002", ("sadness", "depressed", "frustration"), None, 3.0, 1.0, None),
        Vote("WORKER0000004", ("other",), None, 4.0, 4.0, 4.0),
    ),
    STEMS[2]: (
        Vote("WORKER0000001", ("happiness", "excitement", "amused"), None, 6.0, 6.0, 6.0),
        Vote("WORKER0000005", ("other", "other", "fear"), "a/b, [c(; x, y", 4.0, 5.0, 4.0),
        Vote("WORKER0000005", ("happiness", "happiness"), None, 7.0, 6.0, 6.0),
    ),
}
CONSENSUS = [
    ("N", "2.2", "4.0", "2.6", "0030", "Male", "Test1"),
    ("X", "4.125", "2.25", "4.5", "Unknown", "Unknown", "Train"),
    ("H", "5.7", "5.7", "5.3", "31", "Female", "Validation"),
]


def as_csv(header: str, rows: list[tuple[str, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header.split(","))
    writer.writerows(rows)
    return text.getvalue()


def line(row: tuple[str, ...]) -> str:
    _, worker, primary, secondary, act, val, dom = row
    return f"{worker}; {primary}; {secondary}; A:{act}; V:{val}; D:{dom};"


def detailed_lines() -> str:
    return as_csv("FileName,EmoDetail", [(f"{row[0]}.wav", line(row)) for row in VOTES])


def detailed_columns(worker: str) -> str:
    header = f"FileName,{worker},EmoClass_Major,EmoClass_Second,EmoAct,EmoVal,EmoDom"
    return as_csv(header, [(f"{row[0]}.wav", *row[1:]) for row in VOTES])


def labels_text() -> str:
    parts = []
    for stem, (code, act, val, dom, *_) in zip(STEMS, CONSENSUS, strict=True):
        parts.append(f"{stem}.wav; {code}; A:{act}; V:{val}; D:{dom};\n")
        parts += [f"{line(row)}\n" for row in VOTES if row[0] == stem]
        parts.append("\n")
    return "".join(parts)


def detailed_json() -> str:
    document: dict[str, dict[str, Any]] = {}
    for stem, worker, primary, secondary, act, val, dom in VOTES:
        document.setdefault(f"{stem}.wav", {})[worker] = {
            "EmoClass_Major": primary,
            "EmoClass_Second": secondary,
            "EmoAct": act,
            "EmoDom": dom,
            "EmoVal": val if val == "NaN" else float(val),
        }
    return json.dumps(document, indent=1)


CONSENSUS_HEADER = "EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"


def consensus_csv() -> str:
    rows = [(f"{stem}.wav", *row) for stem, row in zip(STEMS, CONSENSUS, strict=True)]
    return as_csv(f"FileName,{CONSENSUS_HEADER}", rows)


def consensus_json() -> str:
    names = CONSENSUS_HEADER.split(",")
    return json.dumps(
        {
            f"{stem}.wav": dict(zip(names, row, strict=True))
            for stem, row in zip(STEMS, CONSENSUS, strict=True)
        }
    )


RELEASES = {
    "1.6": {
        "label/labels_detailed.csv": detailed_columns("Workers"),
        "label/labels_concensus.csv": consensus_csv(),
    },
    "1.9": {
        "labels/labels_detailed.csv": detailed_lines(),
        "labels/labels_concensus.csv": consensus_csv(),
    },
    "1.12": {
        "Labels/labels_detailed.csv": detailed_lines(),
        "Labels/labels_consensus.csv": consensus_csv(),
        "Labels/labels.txt": "not read",
        "Previous_releases_information/v1.6/labels_concensus.csv": "not,read\n",
        "Previous_releases_information/v1.6/labels_detailed.csv": "not,read\n",
    },
    "2.0": {
        "Labels/labels_detailed.csv": detailed_columns("WorkerID"),
        "Labels/labels_detailed_aggregated.csv": "FileName,Angry\n",
        "Labels/labels_consensus.csv": consensus_csv(),
    },
    "text and JSON": {
        "Labels/labels.txt": labels_text(),
        "Labels/labels_consensus.json": consensus_json(),
    },
    "text only": {
        "Labels/labels.txt": labels_text(),
        "Speaker_ids.txt": (
            "Speaker_30; Male\nSpeaker_31; Female\n"
            f"{STEMS[0]}.wav;0030\n{STEMS[1]}.wav;Unknown\n{STEMS[2]}.wav;31\n"
        ),
        "Partition.txt": (
            f"Test1; {STEMS[0]}.wav\nTrain; {STEMS[1]}.wav\nDevelopment; {STEMS[2]}.wav\n"
        ),
    },
}


def place(folder: CorpusFolder, files: dict[str, str]) -> None:
    for name, content in files.items():
        folder.file(name, content)
    folder.clips("Audios", *STEMS)
    folder.file(f"Transcripts/{STEMS[0]}.txt", "So, naïvely.\n")
    folder.file(f"ForceAligned/{STEMS[1]}.txt", "not a transcript")


@pytest.mark.parametrize("release", RELEASES)
def test_every_release_gives_the_same_votes(folder: CorpusFolder, release: str) -> None:
    place(folder, RELEASES[release])
    found = folder.read("msp-podcast")
    assert {stem: clip.votes for stem, clip in found.items()} == EXPECTED
    clips = [found[stem] for stem in STEMS]
    assert [clip.consensus for clip in clips] == ["neutral", "no_agreement", "happiness"]
    assert [clip.speaker for clip in clips] == ["0030", None, "31"]
    assert [clip.split for clip in clips] == ["Test1", "Train", "Development"]
    assert [clip.transcript for clip in clips] == ["So, naïvely.", None, None]
    assert (clips[1].arousal, clips[1].valence, clips[1].dominance) == (4.125, 2.25, 4.5)


def test_the_json_twin_knows_each_worker_once(folder: CorpusFolder) -> None:
    place(folder, {"Labels/labels_detailed.json": detailed_json()})
    found = folder.read("msp-podcast")
    assert [found[stem].votes for stem in STEMS[:2]] == [EXPECTED[stem] for stem in STEMS[:2]]
    assert [vote.annotator for vote in found[STEMS[2]].votes] == ["WORKER0000001", "WORKER0000005"]
    # Without a consensus file the votes have one.
    assert [found[stem].consensus for stem in STEMS] == ["neutral", "no_agreement", "happiness"]


def test_consensus_is_what_the_votes_say(folder: CorpusFolder) -> None:
    place(folder, RELEASES["1.12"])
    for clip in folder.read("msp-podcast").values():
        assert consensus(clip.votes) == clip.consensus


def test_test3_has_no_votes_and_comes_when_asked(folder: CorpusFolder) -> None:
    place(folder, RELEASES["1.12"])
    folder.clips("Audios", "MSP-PODCAST_test3_0001")
    assert list(folder.read("msp-podcast")) == STEMS
    found = folder.read("msp-podcast", withheld=True)
    clip = found["MSP-PODCAST_test3_0001"]
    assert (clip.votes, clip.split, clip.consensus) == ((), "Test3", None)


def counted(folder: CorpusFolder, name: str) -> dict[str, Any]:
    chosen = selection(load_corpus("msp-podcast"), name)
    clips = folder.read("msp-podcast")
    return {stem: labelled(clip, chosen.labels, chosen.policy) for stem, clip in clips.items()}


def test_soft_labels_by_selection(folder: CorpusFolder) -> None:
    place(folder, RELEASES["1.12"])
    primary = counted(folder, "8-primary")
    names = selection(load_corpus("msp-podcast")).labels.names

    def shares(clip: Utterance) -> dict[str, float]:
        assert clip.soft_label is not None
        return {name: p for name, p in zip(names, clip.soft_label, strict=True) if p}

    assert shares(primary[STEMS[1]]) == {"anger": 0.5, "sadness": 0.5}
    assert [primary[stem].plurality for stem in STEMS] == ["neutral", None, "happiness"]
    # Annoyed, depressed, excited are labels of their own, not words for anger and the like.
    secondary = counted(folder, "8-secondary")
    assert shares(secondary[STEMS[1]]) == {"anger": 0.5, "sadness": 0.5}
    assert shares(secondary[STEMS[2]]) == {"happiness": 0.75, "fear": 0.25}
    # Fear is on the secondary list; nobody typed the name of a label.
    assert shares(counted(folder, "8-all-inclusive")[STEMS[2]]) == shares(secondary[STEMS[2]])
    sixteen = counted(folder, "16-secondary")[STEMS[1]]
    assert sixteen.n_votes == 5
    assert [type(one) for one in counted(folder, "8-consensus").values()] == [
        Utterance,
        Excluded,
        Utterance,
    ]


def test_each_fault_costs_one_clip_and_names_its_line(folder: CorpusFolder) -> None:
    rows = [
        "FileName,EmoDetail",
        "a.wav,WORKER1; Neutral; ; A:1; V:1; D:1;",
        "b.wav,WORKER1; Neutral; ; A:1; V:1; D:1;",
        "b.wav,WORKER2; Nuetral; ; A:1; V:1; D:1;",
        "c.wav,WORKER1; Neutral; ; A:one; V:1; D:1;",
        "d.wav,nonsense",
        "e.wav,; Neutral; ; A:1; V:1; D:1;",
        "a.wav,WORKER9; Neutral; ; A:1; V:1; D:1;",
        "f.wav,WORKER1; Neutral; ; A:1; V:1; D:1;",
        'g.wav,"WORKER1; Other-\udce9; ; A:1; V:1; D:1;"',
        "h.wav,WORKER1; Neutral; ; A:1; V:1; D:1;",
        "i.wav,WORKER1; Neutral; ; A:1; V:1; D:1;",
        "j.wav,WORKER1; Neutral; ; A:1; V:1; D:1;",
    ]
    text = "\n".join(rows).encode(errors="surrogateescape")
    folder.file("Labels/labels_detailed.csv", text)
    folder.file(
        "Labels/labels_consensus.csv",
        "FileName,EmoClass\na.wav,N\na.wav,N\nh.wav,Q\nk.wav,N\n",
    )
    folder.clips("Audios", *"abcdeghij", "stray")
    folder.file("Audios/i.wav", b"")
    folder.file("Transcripts/j.txt", b"caf\xe9")
    found, failures = folder.read_all("msp-podcast")
    assert list(found) == ["a"]
    detailed, agreed = "Labels/labels_detailed.csv line", "Labels/labels_consensus.csv line"
    expected = [
        (None, "duplicate_id", f"{agreed} 3: 'a' came before"),
        ("h", "unknown_label", f"{agreed} 4: EmoClass: 'Q' is none of"),
        ("b", "unknown_label", f"{detailed} 4: primary label: 'Nuetral'"),
        ("c", "bad_number", f"{detailed} 5: "),
        ("d", "bad_line", f"{detailed} 6: "),
        ("e", "missing_annotator", f"{detailed} 7: "),
        ("a", "duplicate_id", f"{detailed} 8: 'a' came before, in {detailed} 2"),
        ("f", "missing_audio", f"{detailed} 9: "),
        ("g", "not_unicode", f"{detailed} 10: "),
        ("i", "empty", f"{detailed} 12: audio 'Audios/i.wav'"),
        ("j", "not_unicode", f"{detailed} 13: transcript Transcripts/j.txt line 1"),
        ("k", "no_votes", f"{agreed} 5: "),
        ("stray", "no_votes", "Audios/stray.wav: "),
    ]
    assert [(f.utterance_id, f.error_type) for f in failures] == [one[:2] for one in expected]
    for failure, (*_, message) in zip(failures, expected, strict=True):
        assert failure.message.startswith(message)


def test_a_torn_block_file_costs_its_clip(folder: CorpusFolder) -> None:
    folder.file(
        "labels.txt",
        "WORKER1; Neutral; ; A:1; V:1; D:1;\n"
        "a.wav; N; A:1; V:1; D:1;\nWORKER1; Neutral; ; A:1; V:1; D:1;\n\n"
        "b.wav; N; A:1\nWORKER1; Neutral; ; A:1; V:1; D:1;\n\n"
        "c.wav; N; A:1; V:1; D:1;\nWORKER1; Neutral\n",
    )
    folder.clips("Audios", *"abc")
    found, failures = folder.read_all("msp-podcast")
    assert list(found) == ["a"]
    assert [(f.utterance_id, getattr(f, "row", None)) for f in failures] == [
        (None, 1),
        ("b", 5),
        ("c", 9),
    ]


def test_typed_words_survive_into_shards_and_count_when_asked(
    folder: CorpusFolder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What workers really type: names of labels, in any case, with tabs, dots, doubts."""
    typed = ["Angry", " neutral.", "sad\t", "Fear?", "Inaudible.", "no emotion-neutral", "a, b/c"]
    lines = "".join(
        f"WORKER{number:07d}; Other-{text}; ; A:1; V:1; D:1;\n" for number, text in enumerate(typed)
    )
    folder.file("labels.txt", f"a.wav; O; A:1; V:1; D:1;\n{lines}")
    folder.clips("Audios", "a")
    shards = Location.parse(str(tmp_path_factory.mktemp("shards")))
    corpus = load_corpus("msp-podcast")
    chosen = selection(corpus, "8-all-inclusive")
    clips = corpus.read(folder.location)
    index = write_shards(clips, shards, chosen.labels, policy=chosen.policy, source="a fixture")
    [row] = read_shard(shards, index.shards[0])
    assert isinstance(row, Utterance)
    assert [vote.typed for vote in row.votes] == [text.strip() for text in typed]
    assert (row.consensus, row.n_votes, row.plurality) == ("other", 4, None)
    names = chosen.labels.names
    heard = {name for name, p in zip(names, row.soft_label or (), strict=True) if p == 0.25}
    assert heard == {"anger", "neutral", "sadness", "fear"}
    plain = labelled(replace(row, soft_label=None), selection(corpus).labels)
    assert isinstance(plain, Utterance)
    assert (plain.soft_label, plain.n_votes) == (None, 0)


def test_side_files_are_read_line_by_line(folder: CorpusFolder) -> None:
    clip_lines = "".join(
        f"{stem}.wav; N; A:1; V:1; D:1;\nWORKER1; Neutral; ; A:1; V:1; D:1;\n\n" for stem in "abc"
    )
    folder.file("labels.txt", clip_lines)
    folder.file(
        "Speaker_ids.txt",
        b"Speaker_1; Male\na.wav;1\nb.wav;\xe9\n\nc.wav;2\nc.wav;3\nno clip;4\nSpeaker_9;\n",
    )
    folder.file("Partitions.txt", "Train; a.wav\nValidation; b.wav\nnonsense\nTest1; a.wav\n")
    folder.clips("Audios", *"abc")
    found, failures = folder.read_all("msp-podcast")
    assert [clip.speaker for clip in found.values()] == ["1", None, "2"]
    assert [clip.split for clip in found.values()] == ["Train", "Development", None]
    assert [(f.error_type, f.message.partition(":")[0]) for f in failures] == [
        ("not_unicode", "Speaker_ids.txt line 3"),
        ("contradiction", "Speaker_ids.txt line 6"),
        ("bad_line", "Speaker_ids.txt line 7"),
        ("bad_line", "Partitions.txt line 3"),
        ("contradiction", "Partitions.txt line 4"),
    ]


def test_a_name_may_hold_dots_and_json_may_hold_null(folder: CorpusFolder) -> None:
    stem = "001-105.1-2_14"
    folder.file(
        "labels.txt",
        f"{stem}.wav; N; A:3.4; V:3.6; D:3.6;\nWORKER00014332; Neutral; ; A:4; V:3; D:4;\n",
    )
    document = {"EmoClass": "N", "SpkrID": None, "Split_Set": "NA", "EmoAct": None, "EmoVal": 3}
    folder.file("labels_consensus.json", json.dumps({f"{stem}.wav": document}))
    folder.clips("wavs", stem)
    clip = folder.read("msp-podcast")[stem]
    assert (clip.speaker, clip.split, clip.arousal, clip.valence) == (None, None, None, 3.0)
    folder.file("labels_consensus.json", json.dumps({stem: document}))
    assert folder.read("msp-podcast")[stem].valence == 3.0


@pytest.mark.parametrize(
    ("primary", "secondary", "typed"),
    [
        ("Other-concerned", "Other-Concerned ,Neutral", "concerned"),
        ("Other-concerned", "Neutral,Other-not  sure,Other-NOT SURE", "concerned; not  sure"),
        ("Other-concerned", "Other-concerned about it", "concerned; concerned about it"),
        ("Other", "Other-,Other-curious", "curious"),
    ],
)
def test_what_a_worker_typed_twice_is_kept_once(primary: str, secondary: str, typed: str) -> None:
    vote = worker_line(f"WORKER1; {primary}; {secondary}; A:3; V:3; D:3;")
    assert vote.typed == typed
    mentions = 1 + len(secondary.split(","))
    assert len(vote.labels) == mentions, "every mention of other stays one"
