"""An export as a whole: every utterance counted, every byte the same, nothing half there."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from export_corpora import LABELS, REASON, ExportWorld, all_bytes, clip, spoken

from raypipe.errors import ConfigError, FingerprintError, ShardError
from raypipe.explain.export import write
from raypipe.explain.export.config import ExportConfig
from raypipe.explain.export.manifest import MANIFEST
from raypipe.explain.export.summary import count_table, totals, warning
from raypipe.explain.export.write import export
from raypipe.labels import LABEL_SETS
from raypipe.prompts import render_prompt
from raypipe.prompts.options import lettered
from raypipe.shards.references import clip_bytes


@pytest.fixture
def world(tmp_path: Path) -> ExportWorld:
    return ExportWorld(tmp_path)


def lines_of(config: ExportConfig, part: str = "train") -> list[dict[str, Any]]:
    text = (Path(config.output) / f"{part}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def counts_of(manifest: dict[str, Any], corpus: int = 0) -> dict[str, Any]:
    counts: dict[str, Any] = manifest["made_from"][corpus]["counts"]
    return counts


def some(count: int = 20, **changes: Any) -> list[Any]:
    return [spoken(at, LABELS.names[at % len(LABELS)], **changes) for at in range(count)]


def test_a_line_is_what_the_paper_trains_on(world: ExportWorld) -> None:
    config = world.config(world.explained("one", [spoken(3, "anger"), spoken(4, "surprise")]))
    export(config)
    first, second = lines_of(config)
    assert first == {
        "id": "one-003",
        "dataset": "one",
        "speaker": "one-s3",
        "label": "anger",
        "instruction": "open_form",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "audio", "audio": "audio/one-003.flac"},
                    {"type": "text", "text": "What emotion do you think the audio expresses?"},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {
                        "type": "text",
                        "text": "<asr>This is number 3.</asr><answer>I think the emotion is angry"
                        f"</answer><reason>{REASON.format(0)}</reason>",
                    }
                ],
            },
        ],
    }
    assert "the emotion is surprise</answer>" in second["messages"][1]["content"][0]["text"]
    assert (Path(config.output) / "audio/one-003.flac").read_bytes() == clip(3)


def test_without_reasons_the_target_ends_with_the_answer(world: ExportWorld) -> None:
    shards, _ = world.corpus("one", some())
    config = world.config({"shards": shards, "splits": ["train"]}, reasons=False)
    manifest = export(config)
    assert manifest["reasons"] is False
    for line in lines_of(config):
        assert line["messages"][1]["content"][0]["text"].endswith("</answer>")


def test_what_does_not_map_is_left_out_and_counted(world: ExportWorld) -> None:
    iemocap = LABEL_SETS["iemocap-6"]
    words = ["frustration", "frustration", "excitement", "anger", None, "sadness"]
    rows = [spoken(at, word, labels=iemocap, dataset="iem") for at, word in enumerate(words)]
    rows.append(spoken(6, "anger", labels=iemocap, dataset="iem", consensus="calm"))
    rows.append(spoken(7, "anger", labels=iemocap, dataset="iem", consensus="no_agreement"))
    shards, _ = world.corpus("iem", rows, iemocap)
    corpus = {"shards": shards, "splits": ["train"], "map": {"excitement": "happiness"}}
    manifest: Any = export(world.config(corpus, reasons=False))
    counts = counts_of(manifest)
    assert counts["left_out"] == {"label calm": 1, "label frustration": 2, "no_consensus": 2}
    assert counts["train"] == {"anger": 1, "happiness": 1, "sadness": 1}
    assert manifest["made_from"][0]["map"]["excitement"] == "happiness"
    plurality: Any = export(
        world.config(corpus, reasons=False, gold="plurality", output=str(world.folder / "p"))
    )
    assert counts_of(plurality)["left_out"] == {"label frustration": 2, "no_consensus": 1}


def test_every_utterance_of_several_corpora_is_accounted_for(world: ExportWorld) -> None:
    first = [*some(30), spoken(30, None), spoken(31, "fear", transcript=" ")]
    first.append(spoken(32, "fear", transcript="He said </asr> and left."))
    first += [spoken(40 + at, "fear", split="Test1") for at in range(4)]
    second = some(25, dataset="two", split=None)
    shards, rows = world.corpus("two", second)
    texts = {"two-001": None, "two-002": "Bad <answer> in it.", "two-003": "Good words, low voice."}
    table = world.rationales("two", shards, rows, texts=texts)
    own, _ = world.corpus("one", first)
    of_one = {"shards": own, "rationales": world.rationales("one", own, first[:33])}
    config = world.config(
        {**of_one, "splits": ["train"], "cap": 20},
        {"shards": shards, "rationales": table, "splits": ["unsplit"]},
        max_samples=35,
        development={"speakers": 0.2, "cap": 5},
        instruction="mixed",
    )
    manifest: Any = export(config)
    assert manifest["contains"] == {"train": 35, "development": 5}
    for number, rows_in in enumerate((37, 25)):
        counts = counts_of(manifest, number)
        assert counts["utterances"] == rows_in
        parts = [counts["over_corpus_cap"], counts["over_max_samples"], counts["balanced_away"]]
        parts += [counts["over_development_cap"]]
        for name in ("other_splits", "left_out", "train", "development"):
            parts += counts[name].values()
        assert sum(parts) == rows_in
    assert counts_of(manifest)["other_splits"] == {"Test1": 4}
    assert counts_of(manifest)["left_out"] == {
        "no_consensus": 1,
        "no_transcript": 1,
        "tag_in_transcript": 1,
    }
    assert counts_of(manifest, 1)["left_out"] == {"no_rationale": 1, "tag_in_rationale": 1}
    train, development = lines_of(config), lines_of(config, "development")
    assert not {line["speaker"] for line in train} & {line["speaker"] for line in development}
    assert manifest["speakers_in_both"] == 0
    forms = Counter(line["instruction"] for line in train)
    assert forms == manifest["lines"]["train"]["instructions"]
    assert len(forms) == 2
    cells = [row.cells for row in [count_table(manifest).columns[1]]]
    assert [next(iter(column)) for column in (list(cell) for cell in cells)] == ["37"]
    assert totals(manifest) == (
        "35 train lines, 35 with a reason; 5 development lines, 5 with a reason"
    )
    assert warning(manifest) is None


def test_a_rationale_may_not_name_what_its_label_becomes(world: ExportWorld) -> None:
    labels = LABEL_SETS["iemocap-6"]
    rows = [spoken(at, "excitement", labels=labels) for at in range(3)]
    shards, written = world.corpus("one", rows, labels)
    text = "The words are few. A happy, high voice with a fast tempo and a rising pitch."
    table = world.rationales("one", shards, written, texts={"one-001": text})
    corpus = {"shards": shards, "rationales": table, "splits": ["train"]}
    manifest: Any = export(world.config({**corpus, "map": {"excitement": "happiness"}}))
    assert counts_of(manifest)["left_out"] == {"rationale_names_label": 1}


def test_a_split_that_stops_early_has_lines_without_reasons(world: ExportWorld) -> None:
    rows = [*some(12), *(spoken(20 + at, "fear", split="development") for at in range(5))]
    corpus = world.explained("one", rows[:12])
    shards, _ = world.corpus("both", rows)
    table = world.rationales("both", shards, rows[:12])
    corpus = {"shards": shards, "rationales": table, "splits": ["train"]}
    config = world.config(corpus, development={"splits": ["development"]})
    manifest: Any = export(config)
    assert manifest["lines"]["development"]["with_reason"] == 0
    assert manifest["lines"]["train"]["with_reason"] == 12
    for line in lines_of(config, "development"):
        assert line["messages"][1]["content"][0]["text"].endswith("</answer>")
    assert "5 development lines, 0 with a reason" in totals(manifest)
    assert "development lines have no reasons" in str(warning(manifest))
    plain = config.model_copy(update={"reasons": False, "output": str(world.folder / "plain")})
    assert warning(export(plain)) is None


def test_the_question_is_the_one_that_inference_asks(world: ExportWorld) -> None:
    config = world.config(
        world.explained("one", some()), instruction="closed", shuffled_options=True, seed=4
    )
    export(config)
    asked = set()
    for line in lines_of(config):
        text = line["messages"][0]["content"][1]["text"]
        options = lettered(LABELS, (4, line["id"]))
        assert text == render_prompt("closed_form", LABELS, options=options)
        asked.add(text)
    assert len(asked) > 10
    fixed = world.config(
        world.explained("two", some(dataset="two")),
        instruction="closed",
        output=str(world.folder / "fixed"),
    )
    export(fixed)
    texts = {line["messages"][0]["content"][1]["text"] for line in lines_of(fixed)}
    assert texts == {render_prompt("closed_form", LABELS)}
    assert "A. Angry\nB. Sad\n" in texts.pop()


def test_balance_gives_every_label_as_many_lines(world: ExportWorld) -> None:
    rows = [spoken(at, "anger" if at % 5 else "fear") for at in range(30)]
    config = world.config(world.explained("one", rows), balance="downsample", max_samples=11)
    manifest: Any = export(config)
    assert manifest["lines"]["train"]["labels"] == {"anger": 5, "fear": 5}
    assert counts_of(manifest)["balanced_away"] == 20


def test_the_same_config_gives_the_same_bytes_and_another_seed_others(world: ExportWorld) -> None:
    corpus = world.explained("one", some(30), cap=10)
    first, again = (
        world.config(corpus, output=str(world.folder / name)) for name in ("first", "again")
    )
    assert export(first) == export(again)
    assert all_bytes(Path(first.output)) == all_bytes(Path(again.output))
    other = world.config(corpus, output=str(world.folder / "other"), seed=1)
    export(other)
    ids = [{line["id"] for line in lines_of(config)} for config in (first, other)]
    assert ids[0] != ids[1]
    assert len(ids[0]) == len(ids[1]) == 10


def test_digests_in_the_manifest_are_those_of_the_files(world: ExportWorld) -> None:
    config = world.config(world.explained("one", some()))
    manifest: Any = export(config)
    output = Path(config.output)
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((output / name).read_bytes()).hexdigest() == digest
    summed = (output / "audio.sha256").read_bytes()
    assert hashlib.sha256(summed).hexdigest() == manifest["audio"]["audio.sha256"]
    check = subprocess.run(
        ["sha256sum", "--check", "--quiet", "audio.sha256"], cwd=output, check=False
    )
    assert check.returncode == 0
    assert json.loads((output / MANIFEST).read_text()) == manifest
    named = {"audio.sha256", MANIFEST, *manifest["files"]}
    assert {name for name in all_bytes(output) if not name.startswith("audio/")} == named


def test_a_killed_export_leaves_nothing_and_the_next_one_is_whole(
    world: ExportWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = world.config(world.explained("one", some()))

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(write, "_publish", killed)
        with pytest.raises(Killed):
            export(config)
    assert not Path(config.output).exists()
    manifest = export(config)
    assert not [path for path in world.folder.iterdir() if path.name.endswith(".part")]
    written = all_bytes(Path(config.output))
    assert export(config) == manifest
    assert all_bytes(Path(config.output)) == written


def test_an_output_with_something_else_is_refused(world: ExportWorld) -> None:
    corpus = world.explained("one", some())
    export(world.config(corpus))
    with pytest.raises(FingerprintError, match="holds something else"):
        export(world.config(corpus, seed=1))


def test_references_lead_into_the_shards(world: ExportWorld) -> None:
    config = world.config(world.explained("one", some()), audio="references")
    manifest: Any = export(config)
    assert manifest["audio"] == {"kind": "references"}
    assert not (Path(config.output) / "llamafactory").exists()
    for line in lines_of(config):
        number = int(line["id"].rpartition("-")[2])
        audio = line["messages"][0]["content"][0]["audio"]
        assert clip_bytes(audio, Path(config.output)) == clip(number)
    with pytest.raises(ShardError, match="no utterance"):
        clip_bytes(audio.partition("#")[0] + "#nobody", Path(config.output))


def test_clips_keep_their_bytes_and_get_names_of_their_own(world: ExportWorld) -> None:
    rows = [
        spoken(0, "anger", utterance_id="a/b", audio=clip(0, "WAV")),
        spoken(1, "anger", utterance_id="a b"),
        spoken(2, "anger", utterance_id="A_b"),
        spoken(3, "anger", utterance_id="a_b"),
        spoken(4, "anger", utterance_id="..", audio=clip(4, "OGG")),
    ]
    config = world.config(world.explained("one", rows))
    export(config)
    for number, line in enumerate(lines_of(config)):
        audio = line["messages"][0]["content"][0]["audio"]
        assert clip_bytes(audio, Path(config.output)) == rows[number].audio
    names = sorted(path.name for path in (Path(config.output) / "audio").iterdir())
    assert len({name.lower() for name in names}) == 5
    assert Counter(name.rpartition(".")[2] for name in names) == {"flac": 3, "wav": 1, "ogg": 1}


@pytest.mark.parametrize(
    ("record", "purpose", "said"),
    [
        ({}, "test_ii", "nothing may be trained on them"),
        ({"status": "stopped"}, "train", "stopped, not finished"),
        ({"input_fingerprint": "another"}, "train", "of other shards"),
        ({"config": {"purpose": "train"}}, "test_ii", ""),
    ],
)
def test_rationales_that_nothing_may_be_trained_on_are_refused(
    world: ExportWorld, record: dict[str, Any], purpose: Any, said: str
) -> None:
    shards, rows = world.corpus("one", some())
    table = world.rationales("one", shards, rows, purpose=purpose, **record)
    config = world.config({"shards": shards, "rationales": table, "splits": ["train"]})
    with pytest.raises(ConfigError, match=said or "left to train on"):
        export(config)


def test_rationales_of_evaluation_splits_are_refused_whatever_their_job_says(
    world: ExportWorld,
) -> None:
    rows = [*some(8), *some(3, split="test", dataset="two")]
    shards, written = world.corpus("one", rows)
    table = world.rationales("one", shards, written)
    config = world.config({"shards": shards, "rationales": table, "splits": ["train"]})
    with pytest.raises(ConfigError, match="of split test"):
        export(config)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"output": "s3://bucket/out"}, "local disk"),
        ({"map": {"calm": "peace"}}, "none of the labels"),
        ({"development": {"splits": ["test"]}}, "may not see a test split"),
        ({"development": {"splits": ["train"]}}, "trained on, too"),
        ({"development": {}}, "one of them"),
        ({"corpora": [{"shards": "s", "splits": ["Test1"], "rationales": "r"}]}, "training splits"),
        ({"corpora": [{"shards": "s", "splits": [], "rationales": "r"}]}, "name the training"),
        ({"corpora": [{"shards": "s", "splits": ["train"]}]}, "no rationales"),
    ],
)
def test_a_config_that_cannot_be_is_refused(
    world: ExportWorld, changes: dict[str, Any], said: str
) -> None:
    corpus = {"shards": "s", "rationales": "r", "splits": ["train"]}
    with pytest.raises(ValueError, match=said):
        world.config(*changes.pop("corpora", [corpus]), **changes)


def test_speakers_nobody_names_cannot_be_held_out(world: ExportWorld) -> None:
    config = world.config(world.explained("one", some(speaker=None)), development={"speakers": 0.2})
    with pytest.raises(ConfigError, match="hold out a split"):
        export(config)


def test_a_development_split_that_is_nowhere_is_refused(world: ExportWorld) -> None:
    corpus = world.explained("one", some())
    config = world.config(corpus, development={"splits": ["dev"]})
    with pytest.raises(ConfigError, match="no corpus has dev; there are train"):
        export(config)
