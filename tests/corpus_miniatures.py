"""Every corpus in miniature: three clips in the real layout with invented content.

The second clip is the one that tests damage.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from corpus_folder import CorpusFolder


@dataclass(frozen=True)
class Miniature:
    """A corpus with one label file.

    Attributes:
        corpus: name of its adapter.
        file: the label file.
        lines: of the label file.
        entry: the second clip's lines, first and last, counted from 1.
        label: what stands for its label, and what an unknown one looks like.
        label_line: where that stands, counted from 1.
        word: a text in the entry that is followed by rubbish where bytes are damaged.
        word_line: where that stands, counted from 1.
        ids: of the clips.
        recordings: of the clips.
        stray: a recording that no label file names.
        others: files beside, by name.
        options: of the adapter.
    """

    corpus: str
    file: str
    lines: tuple[str, ...]
    entry: tuple[int, int]
    label: tuple[str, str]
    label_line: int
    word: str
    word_line: int
    ids: tuple[str, str, str]
    recordings: tuple[str, str, str]
    stray: str
    others: dict[str, str] = field(default_factory=dict)
    options: dict[str, object] = field(default_factory=dict)

    def write(self, folder: CorpusFolder) -> None:
        """Put the undamaged corpus into a folder."""
        folder.file(self.file, self.text())
        for name, content in self.others.items():
            folder.file(name, content)
        for name in self.recordings:
            head, _, base = name.rpartition("/")
            folder.clips(head, base.removesuffix(".wav"))

    def text(self) -> bytes:
        """The label file."""
        return "".join(f"{line}\n" for line in self.lines).encode()

    def again(self) -> bytes:
        """The label file with the second clip listed a second time, at the end."""
        first, last = self.entry
        return self.text() + "".join(f"{line}\n" for line in self.lines[first - 1 : last]).encode()

    def damaged(self, rubbish: bytes) -> bytes:
        """The label file with rubbish after a word of the second clip."""
        lines = [line.encode() for line in self.lines]
        word, at = self.word.encode(), self.word_line - 1
        assert lines[at].count(word) == 1
        lines[at] = lines[at].replace(word, word + rubbish)
        return b"".join(line + b"\n" for line in lines)

    def mislabelled(self) -> bytes:
        """The label file with an unknown label of the second clip."""
        good, bad = self.label
        lines = list(self.lines)
        assert good in lines[self.label_line - 1]
        lines[self.label_line - 1] = lines[self.label_line - 1].replace(good, bad)
        return "".join(f"{line}\n" for line in lines).encode()


def _msp_ids(*numbers: int) -> tuple[str, str, str]:
    first, second, third = (f"MSP-PODCAST_0901_{number:04d}" for number in numbers)
    return first, second, third


_MSP = _msp_ids(8, 11, 20)
_MSP_RECORDINGS = tuple(f"Audios/{stem}.wav" for stem in _MSP)
_IEMOCAP = tuple(f"Ses01F_impro01_F00{number}" for number in range(3))
_IMPROV = ("S01A-F01-P-FM01", "S02H-M06-T-MF03", "S03N-F02-R-FF01")
_RATED = "A:3.000000; V:3.000000; D:3.000000;"

MINIATURES = {
    "crema-d": Miniature(
        corpus="crema-d",
        file="processedResults/tabulatedVotes.csv",
        lines=(
            '"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"',
            '"100001",0,0,0,1,2,0,"1001_IEO_NEU_XX",3,0.67,"N"',
            '"100002",1,0,0,1,0,0,"1001_IEO_HAP_LO",2,0.5,"A:H"',
            '"100003",0,0,3,0,0,0,"1001_IEO_HAP_MD",3,1,"F"',
        ),
        entry=(3, 3),
        label=('"A:H"', '"A:Q"'),
        label_line=3,
        word="1001_IEO_HAP_LO",
        word_line=3,
        ids=("1001_IEO_NEU_XX", "1001_IEO_HAP_LO", "1001_IEO_HAP_MD"),
        recordings=(
            "AudioWAV/1001_IEO_NEU_XX.wav",
            "AudioWAV/1001_IEO_HAP_LO.wav",
            "AudioWAV/1001_IEO_HAP_MD.wav",
        ),
        stray="AudioWAV/1002_IEO_NEU_XX.wav",
    ),
    "crema-d responses": Miniature(
        corpus="crema-d",
        file="finishedResponses.csv",
        lines=(
            '"","localid","ttr","queryType","clipNum","questNum","clipName","sessionNums","respEmo"',
            '"1","r17",2413,1,1,5,"1001_IEO_HAP_LO",3,"N"',
            '"2","r17",2413,1,2,6,"1001_IEO_HAP_MD",3,"A"',
            '"3","r18",2413,1,1,7,"1001_IEO_NEU_XX",3,"F"',
        ),
        # A response is a vote: listed twice it is one vote more, so the test does not ask.
        entry=(3, 2),
        label=('"A"', '"Q"'),
        label_line=3,
        word="r17",
        word_line=3,
        ids=("1001_IEO_HAP_LO", "1001_IEO_HAP_MD", "1001_IEO_NEU_XX"),
        recordings=(
            "AudioWAV/1001_IEO_HAP_LO.wav",
            "AudioWAV/1001_IEO_HAP_MD.wav",
            "AudioWAV/1001_IEO_NEU_XX.wav",
        ),
        stray="AudioWAV/1002_IEO_NEU_XX.wav",
        options={"responses": True},
    ),
    "iemocap": Miniature(
        corpus="iemocap",
        file="Session1/dialog/EmoEvaluation/Ses01F_impro01.txt",
        lines=(
            "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]",
            "",
            "[6.1200 - 8.4300]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]",
            "C-E2:\tNeutral;\t()",
            "A-E3:\tval 3; act 2; dom  2;\t()",
            "",
            "[9.9000 - 11.4000]\tSes01F_impro01_F001\txxx\t[2.0000, 3.0000, 3.0000]",
            "C-E2:\tAnger;\t()",
            "C-E3:\tOther;\t(mocking; sarcastic)",
            "",
            "[12.0000 - 13.4000]\tSes01F_impro01_F002\thap\t[4.0000, 3.0000, 3.0000]",
            "C-E2:\tHappiness; Excited;\t()",
        ),
        entry=(7, 9),
        label=("Anger", "Bored"),
        label_line=8,
        word="sarcastic",
        word_line=9,
        ids=(_IEMOCAP[0], _IEMOCAP[1], _IEMOCAP[2]),
        recordings=(
            f"Session1/sentences/wav/Ses01F_impro01/{_IEMOCAP[0]}.wav",
            f"Session1/sentences/wav/Ses01F_impro01/{_IEMOCAP[1]}.wav",
            f"Session1/sentences/wav/Ses01F_impro01/{_IEMOCAP[2]}.wav",
        ),
        stray="Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F009.wav",
        others={
            "Session1/dialog/transcriptions/Ses01F_impro01.txt": (
                "Ses01F_impro01_F000 [006.1200-008.4300]: Excuse me.\n"
                "Ses01F_impro01_FXX0 [008.5-009.0]: [BREATHING]\n"
                "Ses01F_impro01_F001 [009.9000-011.4000]: Really?\n"
            )
        },
    ),
    "msp-podcast 1.12": Miniature(
        corpus="msp-podcast",
        file="Labels/labels_detailed.csv",
        lines=(
            "FileName,EmoDetail",
            f"{_MSP[0]}.wav,WORKER0000001; Neutral; Neutral; {_RATED}",
            f"{_MSP[0]}.wav,WORKER0000002; Angry; ; {_RATED}",
            f'{_MSP[1]}.wav,"WORKER0000001; Sad; Sad,Other-Curious; {_RATED}"',
            f"{_MSP[1]}.wav,WORKER0000002; Other-concerned; ; {_RATED}",
            f"{_MSP[2]}.wav,WORKER0000001; Happy; ; {_RATED}",
        ),
        entry=(4, 5),
        label=("Sad;", "Sadd;"),
        label_line=4,
        word="concerned",
        word_line=5,
        ids=_MSP,
        recordings=(_MSP_RECORDINGS[0], _MSP_RECORDINGS[1], _MSP_RECORDINGS[2]),
        stray="Audios/MSP-PODCAST_0901_0099.wav",
        others={
            "Labels/labels_consensus.csv": (
                "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
                f"{_MSP[0]}.wav,X,3,3,3,30,Male,Test1\n"
                f"{_MSP[1]}.wav,X,3,3,3,Unknown,Unknown,Train\n"
                f"{_MSP[2]}.wav,H,3,3,3,31,Female,Development\n"
            ),
            f"Transcripts/{_MSP[0]}.txt": "Well.\n",
        },
    ),
    "msp-podcast 1.6": Miniature(
        corpus="msp-podcast",
        file="label/labels_detailed.csv",
        lines=(
            "FileName,Workers,EmoClass_Major,EmoClass_Second,EmoAct,EmoDom,EmoVal",
            f"{_MSP[0]}.wav,WORKER0000001,Neutral,Neutral,3,3,3",
            f'{_MSP[1]}.wav,WORKER0000001,Sad,"Sad,Other-Curious",3,3,NaN',
            f"{_MSP[2]}.wav,WORKER0000001,Happy,,3,3,3",
        ),
        entry=(3, 3),
        label=("1,Sad,", "1,Sadd,"),
        label_line=3,
        word="Other-Curious",
        word_line=3,
        ids=_MSP,
        recordings=(_MSP_RECORDINGS[0], _MSP_RECORDINGS[1], _MSP_RECORDINGS[2]),
        stray="Audios/MSP-PODCAST_0901_0099.wav",
    ),
    "msp-podcast text": Miniature(
        corpus="msp-podcast",
        file="Labels/labels.txt",
        lines=(
            f"{_MSP[0]}.wav; N; A:3.400000; V:3.600000; D:3.600000;",
            f"WORKER0000001; Neutral; Neutral; {_RATED}",
            "",
            f"{_MSP[1]}.wav; X; A:3.400000; V:3.600000; D:3.600000;",
            f"WORKER0000001; Sad; ; {_RATED}",
            f"WORKER0000002; Other-concerned; Neutral; {_RATED}",
            "",
            f"{_MSP[2]}.wav; H; A:3.400000; V:3.600000; D:3.600000;",
            f"WORKER0000001; Happy; ; {_RATED}",
        ),
        entry=(4, 6),
        label=("; X;", "; Q;"),
        label_line=4,
        word="concerned",
        word_line=6,
        ids=_MSP,
        recordings=(_MSP_RECORDINGS[0], _MSP_RECORDINGS[1], _MSP_RECORDINGS[2]),
        stray="Audios/MSP-PODCAST_0901_0099.wav",
        others={
            "Speaker_ids.txt": f"Speaker_30; Male\n{_MSP[0]}.wav;30\n",
            "Partitions.txt": f"Train; {_MSP[0]}.wav\n",
        },
    ),
    "msp-podcast json": Miniature(
        corpus="msp-podcast",
        file="Labels/labels_detailed.json",
        lines=(
            "{",
            f'"{_MSP[0]}.wav": {{"WORKER0000001": {{"EmoClass_Major": "Neutral", "EmoAct": 3}}}},',
            f'"{_MSP[1]}.wav": {{"WORKER0000001": {{"EmoClass_Major": "Sad", "EmoAct": "NaN"}}}},',
            f'"{_MSP[2]}.wav": {{"WORKER0000001": {{"EmoClass_Major": "Happy", "EmoAct": 1}}}}',
            "}",
        ),
        # Repeating a line after the last bracket would be no JSON.
        entry=(3, 2),
        label=('"Sad"', '"Sadd"'),
        label_line=3,
        word="WORKER0000001",
        word_line=3,
        ids=_MSP,
        recordings=(_MSP_RECORDINGS[0], _MSP_RECORDINGS[1], _MSP_RECORDINGS[2]),
        stray="Audios/MSP-PODCAST_0901_0099.wav",
    ),
    "msp-improv": Miniature(
        corpus="msp-improv",
        file="Evalution.txt",
        lines=(
            f"UTD-IMPROV-{_IMPROV[0]}.avi; N; A:2.600000; V:3.2; D:3.000000 ; N:3.800000;",
            "WORKER_12; Neutral; Neutral,Excited; A:3.0; V:3.0; D:NaN; N:4.0;",
            "",
            f"UTD-IMPROV-{_IMPROV[1]}.avi; X; A:2.000000; V:3.2; D:3.000000 ; N:3.800000;",
            "WORKER_12; Happy; ; A:3.0; V:3.0; D:3.0; N:4.0;",
            "WORKER_13; Other-bored; ; A:3.0; V:3.0; D:3.0; N:4.0;",
            "",
            f"UTD-IMPROV-{_IMPROV[2]}.avi; S; A:2.000000; V:3.2; D:3.000000 ; N:3.800000;",
            "WORKER_12; Sad; ; A:3.0; V:3.0; D:3.0; N:4.0;",
        ),
        entry=(4, 6),
        label=("Happy;", "Hapy;"),
        label_line=5,
        word="bored",
        word_line=6,
        ids=(
            f"MSP-IMPROV-{_IMPROV[0]}",
            f"MSP-IMPROV-{_IMPROV[1]}",
            f"MSP-IMPROV-{_IMPROV[2]}",
        ),
        recordings=(
            f"session1/S01A/P/MSP-IMPROV-{_IMPROV[0]}.wav",
            f"session6/S02H/T/MSP-IMPROV-{_IMPROV[1]}.wav",
            f"session2/S03N/R/MSP-IMPROV-{_IMPROV[2]}.wav",
        ),
        stray="session2/S03N/R/MSP-IMPROV-S03N-F02-R-FF09.wav",
    ),
    "meld": Miniature(
        corpus="meld",
        file="dev_sent_emo.csv",
        lines=(
            "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season",
            "1,\u201cYes.\u201d,Ann,joy,positive,0,0,8",
            '2,"No, really not.",Bob,anger,negative,0,1,8',
            "3,Well.,Ann,neutral,neutral,0,2,8",
        ),
        entry=(3, 3),
        label=("anger", "ennui"),
        label_line=3,
        word="Bob",
        word_line=3,
        ids=("dev_dia0_utt0", "dev_dia0_utt1", "dev_dia0_utt2"),
        recordings=(
            "dev_splits_complete/dia0_utt0.wav",
            "dev_splits_complete/dia0_utt1.wav",
            "dev_splits_complete/dia0_utt2.wav",
        ),
        stray="dev_splits_complete/dia66_utt9.wav",
    ),
}
