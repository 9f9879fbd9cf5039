"""Lines of training files: plain Hugging Face messages, and LLaMA-Factory's sharegpt form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, Literal

from raypipe.explain.export.candidates import LineCandidate
from raypipe.explain.export.config import ExportConfig
from raypipe.explain.export.drawing import drawn_number
from raypipe.explain.export.target import target_text
from raypipe.labels import LabelSet
from raypipe.prompts import render_prompt
from raypipe.prompts.options import lettered

PromptForm = Literal["open_form", "closed_form"]

AUDIO_PREFIX: Final = "Audio 1: <audio>\n"
"""What stands before the question for LLaMA-Factory: its template ``qwen2_audio`` puts the audio
tokens where ``<audio>`` stands and adds nothing, the model's own chat template adds the rest."""


@dataclass(frozen=True, slots=True)
class TrainingLine:
    """One line of a training file.

    Attributes:
        form: of the user's question.
        question: the user's text.
        answer: the target string.
    """

    candidate: LineCandidate
    form: PromptForm
    question: str
    answer: str


def training_line(candidate: LineCandidate, config: ExportConfig, labels: LabelSet) -> TrainingLine:
    """The line of a candidate; the question is the text that inference asks, too."""
    form = _form(candidate, config)
    shuffled_by = (config.seed, candidate.utterance_id) if config.shuffled_options else None
    options = lettered(labels, shuffled_by) if form == "closed_form" else ()
    question = render_prompt(form, labels, options=options)
    answer = target_text(candidate.transcript, candidate.label, candidate.reason)
    return TrainingLine(candidate, form, question, answer)


def _form(candidate: LineCandidate, config: ExportConfig) -> PromptForm:
    if config.instruction == "mixed":
        is_open = drawn_number(config.seed, "form", *candidate.key) % 2 == 0
        return "open_form" if is_open else "closed_form"
    return "open_form" if config.instruction == "open" else "closed_form"


def messages_line(line: TrainingLine, audio: str) -> str:
    """A line of plain Hugging Face messages.

    Args:
        line: what it says.
        audio: path relative to the file's folder, or a reference into a shard.
    """
    candidate = line.candidate
    return _json(
        {
            "id": candidate.utterance_id,
            "dataset": candidate.dataset,
            "speaker": candidate.speaker,
            "label": candidate.label,
            "instruction": line.form,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "audio", "audio": audio},
                        {"type": "text", "text": line.question},
                    ],
                },
                {"role": "assistant", "content": [{"type": "text", "text": line.answer}]},
            ],
        }
    )


def sharegpt_line(line: TrainingLine, audio: str) -> str:
    """A line of LLaMA-Factory's sharegpt form; arguments as for :func:`messages_line`."""
    return _json(
        {
            "messages": [
                {"role": "user", "content": f"{AUDIO_PREFIX}{line.question}"},
                {"role": "assistant", "content": line.answer},
            ],
            "audios": [audio],
        }
    )


def dataset_info(files: dict[str, str]) -> str:
    """LLaMA-Factory's ``dataset_info.json``.

    Args:
        files: by name of the data set.
    """
    tags = {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
    }
    document = {
        name: {
            "file_name": file,
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "audios": "audios"},
            "tags": tags,
        }
        for name, file in files.items()
    }
    return json.dumps(document, indent=2) + "\n"


def _json(document: dict[str, object]) -> str:
    return json.dumps(document, ensure_ascii=False) + "\n"
