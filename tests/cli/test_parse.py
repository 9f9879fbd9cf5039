import json
import re
from pathlib import Path

from typer.testing import CliRunner

from raypipe.cli import app


def shown(*arguments: str, given: str | None = None) -> str:
    result = CliRunner().invoke(app, ["parse", *arguments], input=given)
    assert result.exit_code == 0, result.output
    assert max(len(line) for line in result.output.splitlines()) <= 80
    return result.output


def test_it_shows_the_reading_the_rule_and_what_each_part_was_taken_for() -> None:
    text = "Anger: 25%, sadness: 75%. The pitch is 220 Hz; she is not happy."
    lines = shown("--label-set", "crema-d-6", text).splitlines()
    assert lines[0].startswith("reading  anger 0.250, disgust 0.000")
    parts = [line.split(maxsplit=2) for line in lines if line.startswith("  ")]
    assert ["label", "anger", "Anger"] in parts
    assert ["share", "25%"] in parts
    assert ["other", "number", "220"] in parts
    assert ["label", "happiness,", "denied  happy"] in [line.split(maxsplit=2) for line in lines]
    assert "percent_list" in "".join(lines)


def test_an_invalid_answer_says_why() -> None:
    output = shown("--label-set", "anger,sadness", "angry or sad")
    assert output.startswith("invalid  ambiguous: ")


def test_a_dropped_share_is_shown_and_how_much_may_be_dropped_is_an_option() -> None:
    text = '{"anger": 0.3, "awe": 0.6, "sadness": 0.1}'
    assert "invalid  unknown_labels" in shown("--label-set", "anger,sadness", text)
    read = shown("--label-set", "anger,sadness", "--max-dropped-share", "0.7", text)
    assert "reading  anger 0.750, sadness 0.250" in read
    assert "dropped  0.600" in read


def test_a_file_is_one_answer_and_a_jsonl_file_one_per_line(tmp_path: Path) -> None:
    one = tmp_path / "answer.txt"
    one.write_text("sad\n", encoding="utf-8")
    assert "sadness 1.000" in shown("--label-set", "anger,sadness", str(one))
    several = tmp_path / "answers.jsonl"
    lines = [json.dumps({"text": text, "id": 3}) for text in ("sad", "angry", "?")]
    several.write_text("\n".join(lines), encoding="utf-8")
    output = shown("--label-set", "anger,sadness", str(several))
    assert [line[:7] for line in output.splitlines() if line[:4] in ("read", "inva")] == [
        "reading",
        "reading",
        "invalid",
    ]


def test_a_line_without_a_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"text": "sad"}\n{"answer": "sad"}\n', encoding="utf-8")
    result = CliRunner().invoke(app, ["parse", "--label-set", "anger,sadness", str(path)])
    assert result.exit_code == 2
    assert "answers.jsonl:2:noobjectwithafieldtext" in re.sub(r"[\s│]", "", result.output)


def test_without_a_text_it_reads_standard_input() -> None:
    assert "anger 1.000" in shown("--label-set", "anger,sadness", given="angry")
    assert "invalid  empty" in shown("--label-set", "anger,sadness", given="")


def test_any_text_can_be_shown() -> None:
    for text in ("\ud800 sad", "sad\x1b[31m", "x" * 5000, "愤怒" * 60, "a/b\nc" * 100):
        shown("--label-set", "anger,sadness", text)
