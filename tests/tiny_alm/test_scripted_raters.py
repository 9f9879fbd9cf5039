import io
import json
import subprocess
import sys

import pytest
import soundfile

from raypipe.explain.sheets.collecting import RaterAnswers
from raypipe.explain.sheets.sheet import RaterSheet, ShownAnswer, ShownReasons
from raypipe.reporting.sheets.page import html_sheet
from raypipe.tiny_alm.scripted_raters import SLIPS, answered
from raypipe.tiny_alm.scripted_teacher import measured_words, scripted_rationale
from raypipe.tiny_alm.spoken import spoken_clip

ITEMS = 40
RATE = 16_000
SAMPLES, _ = spoken_clip(0, "train")
GOOD = scripted_rationale("Anna lost my ticket.", SAMPLES, RATE)
BAD = "I hear it in the tone."


def flac():
    data = io.BytesIO()
    soundfile.write(data, SAMPLES, RATE, format="FLAC", subtype="PCM_24")
    return data.getvalue()


def sheet(rater=1):
    clip = flac()
    return RaterSheet(
        "study",
        rater,
        tuple(
            ShownAnswer(f"I-{at:03d}", clip, "Sad", GOOD if at % 2 else BAD) for at in range(ITEMS)
        ),
        tuple(
            ShownReasons(f"II-{at:03d}", clip, *((GOOD, BAD) if at % 2 else (BAD, GOOD)))
            for at in range(ITEMS)
        ),
    )


def test_a_rater_prefers_what_fits_the_voice_but_for_slips():
    assert GOOD.count(measured_words(SAMPLES, RATE)[0]) == 1
    slips = 0
    for rater in range(1, 6):
        answers = RaterAnswers.model_validate(answered(html_sheet(sheet(rater)), seed=0)).answers
        for item, choice in answers.items():
            is_good = int(item[-3:]) % 2
            slips += choice != (("reject", "accept") if item[1] == "-" else ("B", "A"))[is_good]
    assert SLIPS / 2 < slips / (5 * 2 * ITEMS) < 2 * SLIPS


def test_the_same_seed_gives_the_same_answers_and_raters_differ():
    pages = [html_sheet(sheet(rater)) for rater in (1, 1, 2)]
    first, again, other = (answered(page, seed=0)["answers"] for page in pages)
    assert first == again
    assert first != other


def test_only_sheets_are_answered():
    with pytest.raises(ValueError, match="no sheet"):
        answered("<html></html>", seed=0)


def test_the_command_answers_every_sheet(tmp_path):
    (tmp_path / "study/sheets").mkdir(parents=True)
    for rater in (1, 2):
        page = tmp_path / f"study/sheets/rater-{rater:02d}.html"
        page.write_text(html_sheet(sheet(rater)), encoding="utf-8")
    command = [sys.executable, "-m", "raypipe.tiny_alm.scripted_raters", str(tmp_path / "study")]
    subprocess.run([*command, "--output", str(tmp_path / "answers")], check=True, timeout=120)
    files = sorted((tmp_path / "answers").iterdir())
    assert [file.name for file in files] == [
        "answers-study-rater-01.json",
        "answers-study-rater-02.json",
    ]
    assert json.loads(files[1].read_text())["rater"] == 2
