"""The CPU half of the transformers engine: what it cannot load is one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from raypipe.engines.frontend import TransformersFrontend
from raypipe.errors import ConfigError
from raypipe.tiny_alm import checkpoint_path


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tokenizer.json", "{}", "its tokenizer or processor cannot be loaded: KeyError: "),
        ("config.json", "{", "its config.json cannot be loaded: OSError: "),
        (
            "processor_config.json",
            "{}",
            "its tokenizer or processor cannot be loaded: OSError: Can't load feature extractor ",
        ),
        (
            "chat_template.jinja",
            "{% for %}",
            "its chat template cannot be used: TemplateSyntaxError: ",
        ),
        (
            "chat_template.jinja",
            "{{ raise_exception('one system turn, please') }}",
            "its chat template cannot be used: TemplateError: one system turn, please",
        ),
    ],
)
def test_what_a_library_says_of_a_broken_file_is_one_line(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint_path(), tmp_path / "broken"))
    (folder / name).write_text(text)
    with pytest.raises(ConfigError) as refused:
        TransformersFrontend(str(folder))
    line = str(refused.value)
    assert line.startswith(f"model {folder}: {message}")
    assert "\n" not in line
    assert len(line) < len(str(folder)) + 300


def test_a_base_model_without_a_template_takes_its_processor_s(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint_path(), tmp_path / "base"))
    (folder / "chat_template.jinja").unlink()
    assert TransformersFrontend(str(folder)).sampling_rate == 16_000
