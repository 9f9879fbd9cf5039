"""LLaMA-Factory's documented schema of a sharegpt data set with audio."""

from __future__ import annotations

import json
from pathlib import Path

from export_corpora import ExportWorld, spoken

from raypipe.explain.export.lines import AUDIO_PREFIX
from raypipe.explain.export.write import LLAMA_FACTORY, export


def test_the_data_set_is_described_as_llama_factory_documents_it(tmp_path: Path) -> None:
    world = ExportWorld(tmp_path)
    rows = [spoken(at, "anger" if at % 2 else "fear") for at in range(10)]
    config = world.config(
        world.explained("one", rows), development={"speakers": 0.2}, name="emotions"
    )
    export(config)
    folder = Path(config.output) / LLAMA_FACTORY
    info = json.loads((folder / "dataset_info.json").read_text())
    assert list(info) == ["emotions_train", "emotions_development"]
    for part in ("train", "development"):
        described = info[f"emotions_{part}"]
        assert described == {
            "file_name": f"{part}.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "audios": "audios"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
            },
        }
        own = (Path(config.output) / f"{part}.jsonl").read_text().splitlines()
        lines = (folder / described["file_name"]).read_text().splitlines()
        assert len(lines) == len(own) > 0
        for text, other in zip(lines, own, strict=True):
            line, same = json.loads(text), json.loads(other)
            user, assistant = line["messages"]
            assert (user["role"], assistant["role"]) == ("user", "assistant")
            # As many placeholders as audios, nowhere else one, and both speak the same words.
            assert text.count("<audio>") == len(line["audios"]) == 1
            question = same["messages"][0]["content"][1]["text"]
            assert user["content"] == f"{AUDIO_PREFIX}{question}"
            assert assistant["content"] == same["messages"][1]["content"][0]["text"]
            assert (folder / line["audios"][0]).is_file()
