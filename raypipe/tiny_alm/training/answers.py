"""Greedy answers of the checkpoint through plain transformers, and their strict readers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from raypipe.labels import LabelSet
from raypipe.records import FloatArray
from raypipe.tiny_alm.synth import SAMPLING_RATE
from raypipe.tiny_alm.training.model import load_checkpoint
from raypipe.tiny_alm.training.tokenizer import surface_forms

Array = NDArray[np.float64]

_LONGEST_ANSWER = {
    "distribution": 80,
    "distribution+cot": 150,
    "ambiguous": 70,
    "single": 8,
    "verify": 8,
    "transcribe": 20,
    "open_form": 24,
    "closed_form": 8,
    "open_form+cot": 80,
    "closed_form+cot": 80,
}
_BATCH = 40


@dataclass(frozen=True, slots=True)
class Answer:
    """One greedy answer.

    Attributes:
        label_logits: raw logits averaged over the tokens of each label's surface forms, shape
            ``(steps, labels)``, the step of the end-of-sequence token included.
    """

    text: str
    label_logits: Array


class ReferenceModel:
    """A checkpoint that answers through plain transformers.

    Args:
        folder: a checkpoint folder.
    """

    def __init__(self, folder: Path) -> None:
        self.model, self.processor = load_checkpoint(folder)

    def ask(
        self, prompt: str, clips: Sequence[FloatArray], questions: Sequence[str], labels: LabelSet
    ) -> list[Answer]:
        """Greedy answers, one question per clip.

        Args:
            prompt: built-in name, which sets the longest answer in tokens.
            clips: mono audio at 16 kHz.
            questions: the rendered prompts, one per clip.
            labels: whose emotion words' logits are recorded.
        """
        answers: list[Answer] = []
        for start in track(range(0, len(clips), _BATCH), description=prompt, transient=True):
            part = slice(start, start + _BATCH)
            answers += self._ask_batch(
                list(clips[part]), questions[part], labels, _LONGEST_ANSWER[prompt]
            )
        return answers

    def _ask_batch(
        self, clips: list[FloatArray], questions: Sequence[str], labels: LabelSet, longest: int
    ) -> list[Answer]:
        inputs = self.processor(
            text=[self._chat(question) for question in questions],
            audio=clips,
            sampling_rate=SAMPLING_RATE,
            return_tensors="pt",
            padding=True,
        )
        with torch.inference_mode():
            output = self.model.generate(
                **inputs,
                max_new_tokens=longest,
                return_dict_in_generate=True,
                output_logits=True,
            )
        generated = output.sequences[:, inputs["input_ids"].shape[1] :]
        logits = torch.stack(output.logits, dim=1)[:, :, torch.tensor(self._word_ids(labels))]
        averaged = logits.mean(-1).double().numpy()
        texts = self.processor.batch_decode(generated, skip_special_tokens=True)
        end = self.processor.tokenizer.eos_token_id
        lengths = [(row == end).nonzero().flatten().tolist() for row in generated]
        return [
            Answer(text, scores[: (ends[0] + 1 if ends else None)])
            for text, scores, ends in zip(texts, averaged, lengths, strict=True)
        ]

    def _chat(self, question: str) -> str:
        content = [{"type": "audio", "audio_url": ""}, {"type": "text", "text": question}]
        text: str = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        return text

    def _word_ids(self, labels: LabelSet) -> list[list[int]]:
        encode = self.processor.tokenizer.encode
        return [
            [token for form in surface_forms(name) for token in encode(form)]
            for name in labels.names
        ]


def read_distribution(text: str, labels: LabelSet) -> Array | None:
    """Probabilities of the JSON object at the end of an answer; None if there is no such object."""
    match = re.search(r"\{[^{}]*\}\s*$", text)
    if match is None:
        return None
    try:
        values = json.loads(match.group())
    except json.JSONDecodeError:
        return None
    if set(values) != set(labels.names):
        return None
    return _normalised([values[name] for name in labels.names])


def read_percentages(text: str, labels: LabelSet) -> Array | None:
    """Probabilities of lines like ``anger: 20%``; None unless every label has a line."""
    values = dict(re.findall(r"^(\w+): (\d+)%$", text, re.MULTILINE))
    if set(values) != set(labels.names):
        return None
    return _normalised([float(values[name]) for name in labels.names])


def read_label(text: str, labels: LabelSet) -> Array | None:
    """One-hot distribution of a label; None if the answer is anything else."""
    if text.strip() not in labels.names:
        return None
    return np.array([float(name == text.strip()) for name in labels.names])


def read_number(text: str) -> float | None:
    """A number in [0, 1], or None."""
    if re.fullmatch(r"\s*[01](\.\d+)?\s*", text) is None or float(text) > 1.0:
        return None
    return float(text)


def _normalised(values: Sequence[float]) -> Array | None:
    array = np.array(values, dtype=np.float64)
    if not np.isfinite(array).all() or (array < 0).any() or array.sum() <= 0:
        return None
    normalised: Array = array / array.sum()
    return normalised


READERS: dict[str, Callable[[str, LabelSet], Array | None]] = {
    "distribution": read_distribution,
    "distribution+cot": read_distribution,
    "ambiguous": read_percentages,
    "single": read_label,
}
