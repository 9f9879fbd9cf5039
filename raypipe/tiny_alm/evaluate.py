"""Measure the bundled model and write its card: ``python -m raypipe.tiny_alm.evaluate``.

Everything goes through plain ``generate()`` of transformers, on synthetic speakers that training
never heard, and reads the answers strictly: what does not parse counts as unparsable.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.spatial.distance import jensenshannon
from scipy.stats import spearmanr

from raypipe.labels import LABEL_SETS, LabelSet
from raypipe.prompts import render_prompt
from raypipe.records import FloatArray
from raypipe.tiny_alm import checkpoint_path
from raypipe.tiny_alm.card import model_card
from raypipe.tiny_alm.corpus import synthetic_clip
from raypipe.tiny_alm.lessons import as_json, fit_score, random_candidate
from raypipe.tiny_alm.material import emodb_clips, no_voice
from raypipe.tiny_alm.model import load_checkpoint
from raypipe.tiny_alm.synth import LABEL_SET, SAMPLING_RATE
from raypipe.tiny_alm.tokenizer import surface_forms

Array = NDArray[np.float64]
Figures = dict[str, float | int | None]

_LONGEST_ANSWER = {
    "distribution": 80,
    "distribution+cot": 150,
    "ambiguous": 70,
    "single": 8,
    "verify": 8,
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


class Listener:
    """The checkpoint, asked through plain transformers.

    Args:
        folder: a checkpoint folder.
    """

    def __init__(self, folder: Path) -> None:
        self.model, self.processor = load_checkpoint(folder)

    def ask(
        self, prompt: str, clips: Sequence[FloatArray], questions: Sequence[str], labels: LabelSet
    ) -> list[Answer]:
        """Answer one question per clip, greedily.

        Args:
            prompt: built-in name; decides how long an answer may be.
            clips: mono audio at 16 kHz.
            questions: the rendered prompts, one per clip.
            labels: whose emotion words are watched.
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
    """The JSON object at the end of an answer as probabilities; None if it is not exactly that."""
    found = re.search(r"\{[^{}]*\}\s*$", text)
    if found is None:
        return None
    try:
        values = json.loads(found.group())
    except json.JSONDecodeError:
        return None
    if set(values) != set(labels.names):
        return None
    return _normalised([values[name] for name in labels.names])


def read_percentages(text: str, labels: LabelSet) -> Array | None:
    """Lines like ``anger: 20%`` as probabilities; None unless every label has one."""
    values = dict(re.findall(r"^(\w+): (\d+)%$", text, re.MULTILINE))
    if set(values) != set(labels.names):
        return None
    return _normalised([float(values[name]) for name in labels.names])


def read_label(text: str, labels: LabelSet) -> Array | None:
    """One label as a one-hot distribution; None if the answer is anything else."""
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


def divergence(truth: Array, prediction: Array) -> float:
    """Jensen-Shannon divergence, base 2, in [0, 1]."""
    return float(jensenshannon(truth, prediction, base=2) ** 2)


def figures(truths: Array, predictions: Sequence[Array | None]) -> Figures:
    """Divergence, accuracy and macro-F1 of the answers that parse, beside the constant prior.

    Args:
        truths: soft labels, shape ``(clips, labels)``.
        predictions: one distribution per clip, or None.
    """
    rows = [row for row, prediction in enumerate(predictions) if prediction is not None]
    predicted = np.array([predictions[row] for row in rows])
    truth = truths[rows]
    # A tie in the votes has no right answer.
    clear = (truth == truth.max(axis=1, keepdims=True)).sum(axis=1) == 1
    gold, guess = truth[clear].argmax(axis=1), predicted[clear].argmax(axis=1)
    prior = truths.mean(axis=0)
    return {
        "clips": len(truths),
        "unparsable": len(truths) - len(rows),
        "js": _mean(divergence(p, q) for p, q in zip(truth, predicted, strict=True)),
        "prior_js": _mean(divergence(p, prior) for p in truths),
        "accuracy": float((gold == guess).mean()),
        "prior_accuracy": float((gold == prior.argmax()).mean()),
        "macro_f1": macro_f1(gold, guess, truths.shape[1]),
    }


def macro_f1(truth: NDArray[np.int64], prediction: NDArray[np.int64], classes: int) -> float:
    """Unweighted mean F1 over all classes; a class never seen nor predicted counts 0."""
    scores = []
    for label in range(classes):
        hits = ((truth == label) & (prediction == label)).sum()
        total = (truth == label).sum() + (prediction == label).sum()
        scores.append(2.0 * hits / total if total else 0.0)
    return float(np.mean(scores))


def _mean(values: Iterator[float]) -> float:
    return float(np.mean(list(values)))


def token_figures(truths: Array, answers: Sequence[Answer]) -> dict[str, Figures]:
    """Distributions from the emotion words' raw logits alone, averaged over all steps."""
    scores = np.array([answer.label_logits.mean(axis=0) for answer in answers])
    valid = np.asarray((scores > 0).all(axis=1))
    shares = [row / row.sum() if ok else None for row, ok in zip(scores, valid, strict=True)]
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    softmax = list(powers / powers.sum(axis=1, keepdims=True))
    return {
        "token": {**figures(truths, shares), "valid_share": float(valid.mean())},
        "token_softmax": {**figures(truths, softmax), "valid_share": 1.0},
    }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One checkpoint on one set of held-out clips.

    Args:
        listener: the model.
        clips: mono audio at 16 kHz.
        truths: soft labels over the canonical set, shape ``(clips, labels)``.
    """

    listener: Listener
    clips: list[FloatArray]
    truths: Array

    def prompts(self) -> dict[str, Any]:
        """Every prompt that asks for the emotion, and the token-level reading of the first."""
        result: dict[str, Any] = {}
        for prompt, read in READERS.items():
            question = render_prompt(prompt, LABEL_SET)
            answers = self.listener.ask(prompt, self.clips, [question] * len(self.clips), LABEL_SET)
            result[prompt] = figures(self.truths, [read(a.text, LABEL_SET) for a in answers])
            if prompt == "distribution":
                result |= token_figures(self.truths, answers)
        return result

    def variations(self) -> dict[str, Figures]:
        """The distribution prompt with a transcript and context, and over four labels."""
        question = render_prompt(
            "distribution",
            LABEL_SET,
            transcript="It's eleven o'clock.",
            context=["What happened?"],
        )
        answers = self.listener.ask(
            "distribution", self.clips, [question] * len(self.clips), LABEL_SET
        )
        with_words = [read_distribution(answer.text, LABEL_SET) for answer in answers]
        four = LABEL_SETS["iemocap-4"]
        shares = self.truths[:, [LABEL_SET.names.index(name) for name in four.names]]
        rows = np.flatnonzero(shares.sum(axis=1) >= 0.4)
        question = render_prompt("distribution", four)
        answers = self.listener.ask(
            "distribution", [self.clips[row] for row in rows], [question] * len(rows), four
        )
        over_four = [read_distribution(answer.text, four) for answer in answers]
        truths = shares[rows] / shares[rows].sum(axis=1, keepdims=True)
        return {
            "with transcript and context": figures(self.truths, with_words),
            "iemocap-4": figures(truths, over_four),
        }

    def verifier(self, seed: int) -> Figures:
        """Agreement of the verifier's number with the fit to the votes, three candidates a clip."""
        rng = np.random.default_rng([seed, 7])
        clips, questions, fits = [], [], []
        for clip, truth in zip(self.clips, self.truths, strict=True):
            for _ in range(3):
                candidate = random_candidate(truth, rng)
                clips.append(clip)
                fits.append(fit_score(truth, candidate))
                questions.append(
                    render_prompt("verify", LABEL_SET, candidate=as_json(candidate, LABEL_SET))
                )
        answers = self.listener.ask("verify", clips, questions, LABEL_SET)
        scores = [read_number(answer.text) for answer in answers]
        pairs = np.array([(s, f) for s, f in zip(scores, fits, strict=True) if s is not None])
        return {
            "candidates": len(scores),
            "unparsable": len(scores) - len(pairs),
            "pearson": float(np.corrcoef(pairs.T)[0, 1]),
            "spearman": float(spearmanr(*pairs.T).statistic),
            "mean_absolute_error": float(np.abs(pairs[:, 0] - pairs[:, 1]).mean()),
        }

    def silence(self) -> Figures:
        """The same clips with their sound taken away: the answers must know nothing of them."""
        silent = [np.zeros_like(clip) for clip in self.clips]
        quiet = figures(self.truths, self._distributions(silent))
        rng = np.random.default_rng(99)
        noise = [no_voice(rng) for _ in range(40)]
        prior = self.truths.mean(axis=0)
        to_prior = [
            divergence(prior, prediction)
            for prediction in self._distributions(noise)
            if prediction is not None
        ]
        return {**quiet, "no_voice_js_to_prior": float(np.mean(to_prior))}

    def _distributions(self, clips: list[FloatArray]) -> list[Array | None]:
        question = render_prompt("distribution", LABEL_SET)
        answers = self.listener.ask("distribution", clips, [question] * len(clips), LABEL_SET)
        return [read_distribution(answer.text, LABEL_SET) for answer in answers]


def emodb_figures(listener: Listener, folder: Path) -> dict[str, Figures]:
    """Real speech: the speakers of Emo-DB that training never heard."""
    labels = LABEL_SETS["emodb-7"]
    heard = list(emodb_clips(folder, held_out=True))
    clips = [samples for samples, _ in heard]
    truths = np.array([[float(name == emotion) for name in labels.names] for _, emotion in heard])
    result: dict[str, Figures] = {}
    for prompt in ("distribution", "single"):
        question = render_prompt(prompt, labels)
        answers = listener.ask(prompt, clips, [question] * len(clips), labels)
        result[prompt] = figures(truths, [READERS[prompt](a.text, labels) for a in answers])
    return result


def evaluate(folder: Path, *, clips: int, seed: int, emodb: Path | None) -> dict[str, Any]:
    """All figures of one checkpoint.

    Args:
        folder: the checkpoint.
        clips: number of held-out synthetic clips.
        seed: of those clips.
        emodb: folder of Emo-DB's WAV files; its figures are left out without.
    """
    spoken = [synthetic_clip(index, seed=seed, split="test") for index in range(clips)]
    listener = Listener(folder)
    held_out = Evaluation(
        listener, [clip.samples for clip, _ in spoken], np.array([shares for _, shares in spoken])
    )
    result: dict[str, Any] = {
        "seed": seed,
        "prompts": held_out.prompts(),
        "variations": held_out.variations(),
        "verify": held_out.verifier(seed),
        "silence": held_out.silence(),
    }
    if emodb is not None:
        result["emodb"] = emodb_figures(listener, emodb)
    return result


def print_table(result: dict[str, Any]) -> None:
    """The main figures for people."""
    names = ("js", "prior_js", "accuracy", "prior_accuracy", "macro_f1", "unparsable")
    table = Table("", *names)
    rows = {**result["prompts"], **result["variations"], "silence": result["silence"]}
    rows |= {f"emodb {name}": row for name, row in result.get("emodb", {}).items()}
    for name, row in rows.items():
        table.add_row(name, *(f"{row[key]:.3f}" for key in names[:-1]), str(row["unparsable"]))
    Console().print(table)
    Console().print("verify", result["verify"])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=checkpoint_path())
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1, help="of the held-out sentences")
    parser.add_argument("--emodb", type=Path, help="folder of Emo-DB's WAV files")
    parser.add_argument("--training", type=Path, help="training folder: its facts join the card")
    arguments = parser.parse_args()
    result = evaluate(
        arguments.checkpoint, clips=arguments.clips, seed=arguments.seed, emodb=arguments.emodb
    )
    print_table(result)
    if arguments.training is not None:
        facts = json.loads((arguments.training / "training.json").read_text(encoding="utf-8"))
        result["training"] = facts
    # First what took long to find, then what is made of it.
    (arguments.checkpoint / "evaluation.json").write_text(
        json.dumps(result, indent=1) + "\n", encoding="utf-8"
    )
    if arguments.training is not None:
        (arguments.checkpoint / "README.md").write_text(model_card(result), encoding="utf-8")


if __name__ == "__main__":
    main()
