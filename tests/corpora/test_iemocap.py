"""IEMOCAP: every line of its layout, and the usual selections as rules. All content is invented."""

from __future__ import annotations

from typing import Any

import pytest
from corpus_folder import CorpusFolder

from raypipe.corpora import load_corpus, selection
from raypipe.records import Utterance, Vote
from raypipe.votes import NO_AGREEMENT, labelled

HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"


def block(start: float, name: str, code: str, *lines: str, mean: str = "2.5, 3.0, 3.5") -> str:
    summary = f"[{start:.4f} - {start + 1:.4f}]\t{name}\t{code}\t[{mean}]"
    return "\n".join([summary, *lines]) + "\n\n"


IMPRO = HEADER + "".join(
    [
        block(
            6.12,
            "Ses01F_impro91_F000".replace("91", "01"),
            "neu",
            "C-E2:\tNeutral;\t()",
            "C-E3:\tNeutral; Frustration;\t()",
            "C-E4:\tNeutral;\t(a bit curious; still, polite (really))",
            "C-F1:\tNeutral; Anger;\t()",
            "A-E3:\tval 3; act 2; dom  2;\t()",
            "A-E4:\tval 2; act 3; dom  ;\t(tense, ready)",
            "A-F1:\tval 3; act 9; dom  1;\t()",
        ),
        block(9.9, "Ses01F_impro01_M000", "xxx", "C-E1:\tAnger;\t()", "C-E3:\tOther;\t(mocking)"),
        block(12.0, "Ses01F_impro01_F001", "exc", "C-E1:\tExcited; \t()", "C-E2:\tExcited;\t()"),
        block(
            14.0,
            "Ses01F_impro01_M001",
            "xxx",
            "C-E1:\tExcited;\t()",
            "C-E2:\tAnger;\t()",
            "C-E3:\tSadness;\t()",
        ),
    ]
)
SCRIPT = HEADER + "".join(
    [
        block(
            1.0,
            "Ses02M_script01_2_F000",
            "hap",
            "C-E1:\tHappiness;\t()",
            "C-E2:\tHappiness; Excited;\t()",
            "C-E3:\tNeutral state;\t()",
        ),
        block(
            3.0,
            "Ses02M_script01_2_M000",
            "hap",
            "C-E1:\tHappiness;\t()",
            "C-E2:\tHappiness;\t()",
            "C-E3:\tSurprise;\t()",
        ),
        block(5.0, "Ses02M_script01_2_F001", "fru", "C-E1:\tFrustration;\t()"),
    ]
)
TRANSCRIPT = """Ses01F_impro01_F000 [006.1200-007.1200]: Excuse me.
Ses01F_impro01_FXX0 [008.0000-009.0000]: [BREATHING]
M: an aside without an id
Ses01F_impro01_M000 [009.9000-010.9000]: Yes?
Ses01F_impro01_M000 [010.9000-011.0000]: What is it?
Ses01F_impro01_F001 [012.0000-013.0000]: I have w\xf6n! [LAUGHTER]
"""
IDS = [
    "Ses01F_impro01_F000",
    "Ses01F_impro01_M000",
    "Ses01F_impro01_F001",
    "Ses01F_impro01_M001",
    "Ses02M_script01_2_F000",
    "Ses02M_script01_2_M000",
    "Ses02M_script01_2_F001",
]


def sentences(folder: CorpusFolder, *ids: str) -> None:
    for name in ids:
        session = int(name[4])
        dialogue = name.rpartition("_")[0]
        folder.clips(f"Session{session}/sentences/wav/{dialogue}", name)


@pytest.fixture
def iemocap(folder: CorpusFolder) -> CorpusFolder:
    evaluation = "Session1/dialog/EmoEvaluation"
    folder.file(f"{evaluation}/Ses01F_impro01.txt", IMPRO.replace("\n", "\r\n"), "latin-1")
    folder.file(f"{evaluation}/._Ses01F_impro01.txt", b"\x00\x05\x16\x07")
    folder.file(
        f"{evaluation}/Categorical/Ses01F_impro01_e2_cat.txt",
        "Ses01F_impro01_F000 :Neutral state; ()\n",
    )
    folder.file("Session2/dialog/EmoEvaluation/Ses02M_script01_2.txt", SCRIPT)
    folder.file("Session1/dialog/transcriptions/Ses01F_impro01.txt", TRANSCRIPT, "latin-1")
    folder.clips("Session1/dialog/wav", "Ses01F_impro01")
    sentences(folder, *IDS)
    return folder


def test_every_voice_is_kept(iemocap: CorpusFolder) -> None:
    found = iemocap.read("iemocap")
    assert list(found) == IDS
    clip = found[IDS[0]]
    assert clip.votes == (
        Vote("C-E2", ("neutral",)),
        Vote("C-E3", ("neutral", "frustration")),
        Vote("C-E4", ("neutral",), "a bit curious; still, polite (really)"),
        Vote("self:C-F1", ("neutral", "anger")),
        Vote("A-E3", (), arousal=2.0, valence=3.0, dominance=2.0),
        Vote("A-E4", (), "tense, ready", arousal=3.0, valence=2.0),
        Vote("self:A-F1", (), valence=3.0, dominance=1.0),
    )
    assert (clip.valence, clip.arousal, clip.dominance) == (2.5, 3.0, 3.5)
    assert found[IDS[1]].votes[1] == Vote("C-E3", ("other",), "mocking")
    assert [found[name].consensus for name in IDS[:3]] == ["neutral", NO_AGREEMENT, "excitement"]


def test_the_speaker_is_the_last_letter_not_the_marker_wearer(iemocap: CorpusFolder) -> None:
    found = iemocap.read("iemocap")
    assert [found[name].speaker for name in IDS] == [
        "01F",
        "01M",
        "01F",
        "01M",
        "02F",
        "02M",
        "02F",
    ]
    assert {found[name].split for name in IDS} == {"Session1", "Session2"}


def test_transcripts_and_context_follow_the_dialogue(iemocap: CorpusFolder) -> None:
    found = iemocap.read("iemocap")
    third = found["Ses01F_impro01_F001"]
    assert third.transcript == "I have wön! [LAUGHTER]"
    assert third.context == ("F: Excuse me.", "M: Yes? What is it?")
    assert found["Ses01F_impro01_F000"].context == ()
    assert found["Ses01F_impro01_M001"].transcript is None
    assert found["Ses02M_script01_2_F000"].transcript is None
    short = iemocap.read("iemocap", context_turns=1)["Ses01F_impro01_F001"]
    assert short.context == ("M: Yes? What is it?",)
    assert iemocap.read("iemocap", context_turns=0)["Ses01F_impro01_F001"].context == ()


def test_only_improvised_or_scripted_dialogues(iemocap: CorpusFolder) -> None:
    assert list(iemocap.read("iemocap", dialogues="impro")) == IDS[:4]
    assert list(iemocap.read("iemocap", dialogues="script")) == IDS[4:]


def test_one_concatenated_file_is_accepted(folder: CorpusFolder) -> None:
    folder.file("IEMOCAP_EmoEvaluation.txt", IMPRO + SCRIPT)
    sentences(folder, *IDS)
    assert list(folder.read("iemocap")) == IDS


def selected(iemocap: CorpusFolder, name: str) -> dict[str, Any]:
    corpus = load_corpus("iemocap")
    chosen = selection(corpus, name)
    rows = [
        labelled(one, chosen.labels, chosen.policy)
        for one in corpus.read(iemocap.location)
        if isinstance(one, Utterance)
    ]
    return {row.utterance_id: row for row in rows if isinstance(row, Utterance)}


def test_the_rule_of_the_4373(iemocap: CorpusFolder) -> None:
    """External evaluators only, excited is happiness, one label outside drops the clip, ties stay.

    F000 of the first dialogue has a Frustration among several, M000 an Other, M000 of the second
    a Surprise; a three-way tie and an all-Excited clip stay.
    """
    found = selected(iemocap, "4-unanimous-set")
    assert list(found) == [IDS[2], IDS[3], IDS[4]]
    assert found[IDS[2]].soft_label == (0, 1, 0, 0)  # anger, happiness, neutral, sadness
    assert found[IDS[3]].soft_label == pytest.approx((1 / 3, 1 / 3, 0, 1 / 3))
    assert found[IDS[3]].plurality is None
    assert found[IDS[4]].soft_label == (0, 0.75, 0.25, 0)
    assert next(iter(load_corpus("iemocap").selections)) == "4-unanimous-set"


def test_the_selections_by_summary_code(iemocap: CorpusFolder) -> None:
    merged = selected(iemocap, "4-consensus")
    assert list(merged) == [IDS[0], IDS[2], IDS[4], IDS[5]]
    assert merged[IDS[2]].plurality == "happiness"
    assert merged[IDS[0]].soft_label == (0, 0, 1, 0)  # neither Frustration nor the self-report
    without = selected(iemocap, "4-consensus-no-excited")
    assert list(without) == [IDS[0], IDS[4], IDS[5]]
    assert without[IDS[4]].soft_label == pytest.approx((0, 2 / 3, 1 / 3, 0))
    six = selected(iemocap, "6-consensus")
    assert list(six) == [IDS[0], IDS[2], IDS[4], IDS[5], IDS[6]]
    assert six[IDS[6]].plurality == "frustration"
    assert list(selected(iemocap, "4-voted")) == IDS[:6]


def test_self_reports_count_when_asked(iemocap: CorpusFolder) -> None:
    chosen = selection(load_corpus("iemocap"), "4-consensus")
    clip = iemocap.read("iemocap")[IDS[0]]
    policy = chosen.policy.model_copy(update={"self_reports": True})
    with_self = labelled(clip, chosen.labels, policy)
    assert isinstance(with_self, Utterance)
    assert with_self.soft_label == (0.2, 0, 0.8, 0)


def test_each_fault_costs_one_clip_and_names_its_line(folder: CorpusFolder) -> None:
    name = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    folder.file(
        name,
        HEADER
        + "C-E1:\tAnger;\t()\n"
        + block(1, "Ses01F_impro01_F000", "neu", "C-E1:\tNeutral;\t()", "C-E2:\tBored;\t()")
        + block(2, "Ses01F_impro01_F001", "zzz", "C-E1:\tNeutral;\t()")
        + block(3, "Ses01F_impro01_F002", "neu", "C-E1:\tNeutral;\t()", "what is this")
        + block(4, "Ses01X_impro01_F003", "neu", "C-E1:\tNeutral;\t()")
        + block(5, "Ses01F_impro01_F004", "neu", "C-E1:\tNeutral;\t()")
        + block(6, "Ses01F_impro01_F005", "neu", "C-E1:\tNeutral;\t()")
        + block(7, "Ses01F_impro01_F005", "neu", "C-E1:\tNeutral;\t()")
        + "[8 - 9] torn\n",
    )
    sentences(folder, "Ses01F_impro01_F000", "Ses01F_impro01_F005", "Ses01F_impro01_F009")
    found, failures = folder.read_all("iemocap")
    assert list(found) == ["Ses01F_impro01_F005"]
    assert [(f.error_type, getattr(f, "row", None)) for f in failures] == [
        ("bad_line", 3),
        ("unknown_label", 6),
        ("unknown_label", 8),
        ("bad_line", 13),
        ("bad_name", 15),
        ("missing_audio", 18),
        ("duplicate_id", 24),
        ("bad_line", 27),
        ("no_votes", None),
    ]
    assert failures[1].message == (
        f"{name} line 6: category: 'Bored' is none of neutral, neutral state, happiness, excited, "
        "sadness, anger, frustration, fear, surprise, disgust, other"
    )


def test_the_other_conventions_of_the_field(iemocap: CorpusFolder) -> None:
    """Five bins with a rest (Wu et al.); nine classes with self-reports (EMO-SUPERB)."""
    five = selected(iemocap, "5-all")
    assert list(five) == IDS
    assert five[IDS[0]].soft_label == (0, 0, 0.75, 0, 0.25)  # the last is other
    assert five[IDS[1]].soft_label == (0.5, 0, 0, 0, 0.5)
    assert five[IDS[6]].plurality == "other"
    nine = selected(iemocap, "9-self-reports")
    names = selection(load_corpus("iemocap"), "9-self-reports").labels.names
    shares = dict(zip(names, nine[IDS[0]].soft_label, strict=True))
    assert {name: share for name, share in shares.items() if share} == {
        "anger": pytest.approx(1 / 6),
        "frustration": pytest.approx(1 / 6),
        "neutral": pytest.approx(4 / 6),
    }


def test_an_utterance_without_categories_is_not_unanimous(folder: CorpusFolder) -> None:
    folder.file(
        "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt",
        HEADER + block(1, "Ses01F_impro01_F000", "xxx", "A-E1:\tval 3; act 2; dom  2;\t()"),
    )
    sentences(folder, "Ses01F_impro01_F000")
    assert list(folder.read("iemocap")) == ["Ses01F_impro01_F000"]
    assert selected(folder, "4-unanimous-set") == {}


def test_torn_transcripts_and_files_in_other_encodings_are_told(folder: CorpusFolder) -> None:
    evaluations, transcripts = "Session1/dialog/EmoEvaluation", "Session1/dialog/transcriptions"
    clips = {}
    for number in (1, 2, 3):
        name = f"Ses01F_impro0{number}_F000"
        times = {2: 1.0, 1: 5.0, 3: 1.0}
        clips[number] = HEADER + block(times[number], name, "neu", "C-E1:\tNeutral;\t()")
        sentences(folder, name)
    folder.file(f"{evaluations}/Ses01F_impro01.txt", clips[1])
    folder.file(f"{evaluations}/Ses01F_impro02.txt", clips[2], "utf-16")
    folder.file(f"{evaluations}/Ses01F_impro03.txt", clips[3].replace("[1.0", "[1.0.0"))
    folder.file(
        f"{transcripts}/Ses01F_impro01.txt",
        "Ses01F_impro01_F000 [005.0000-006.0000]: Well.\n"
        "Ses01F_impro01_M000 [001.0000-00\n"
        "Ses01F_impro01_M001 [001.0.0-002.0000]: When?\n"
        "Ses01F_impro01_M002 [001.0000-002.0000]: No\0.\n",
    )
    found, failures = folder.read_all("iemocap")
    assert [clip.transcript for clip in found.values()] == ["Well."]
    transcript = f"{transcripts}/Ses01F_impro01.txt line"
    expected = [
        ("bad_line", f"{transcript} 2: not a turn: 'Ses01F_impro01_M000 [001.0000-00'"),
        ("bad_number", f"{transcript} 3: '001.0.0' is not a time"),
        ("nul", f"{transcript} 4: transcript holds NUL"),
        ("bad_file", f"{evaluations}/Ses01F_impro02.txt line 1: the file is UTF-16"),
        ("bad_number", f"{evaluations}/Ses01F_impro03.txt line 3: '1.0.0000' is not a time"),
        ("no_votes", "Session1/sentences/wav/Ses01F_impro02/"),
    ]
    for failure, (reason, message) in zip(failures, expected, strict=True):
        assert failure.error_type == reason
        assert failure.message.startswith(message)
