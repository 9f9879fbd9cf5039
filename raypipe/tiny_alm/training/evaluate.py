"""Figures and card of the bundled model: ``python -m raypipe.tiny_alm.training.evaluate``.

The answers come from plain ``generate()`` of transformers, for synthetic speakers outside the
training data, and are read strictly: an answer in any other form counts as unparsable.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.spatial.distance import jensenshannon
from scipy.stats import spearmanr

from raypipe.labels import LABEL_SETS
from raypipe.prompts import render_prompt
from raypipe.records import FloatArray
from raypipe.tiny_alm import checkpoint_path
from raypipe.tiny_alm.corpus import synthetic_clip
from raypipe.tiny_alm.synth import LABEL_SET
from raypipe.tiny_alm.training.answers import (
    READERS,
    Answer,
    ReferenceModel,
    read_distribution,
    read_number,
)
from raypipe.tiny_alm.training.card import Evaluated, Figures, model_card
from raypipe.tiny_alm.training.data import emodb_clips, no_voice
from raypipe.tiny_alm.training.examples import as_json, fit_score, random_candidate

Array = NDArray[np.float64]


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
    """Unweighted mean F1 over all classes; a class without clips and predictions counts 0."""
    scores = []
    for label in range(classes):
        hits = ((truth == label) & (prediction == label)).sum()
        total = (truth == label).sum() + (prediction == label).sum()
        scores.append(2.0 * hits / total if total else 0.0)
    return float(np.mean(scores))


def _mean(values: Iterator[float]) -> float:
    return float(np.mean(list(values)))


def token_figures(truths: Array, answers: Sequence[Answer]) -> dict[str, Figures]:
    """Figures of the distributions that the emotion words' raw logits give, averaged over steps."""
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
    """Evaluation of one checkpoint on one set of held-out clips.

    Args:
        model: the model.
        clips: mono audio at 16 kHz.
        truths: soft labels over the canonical set, shape ``(clips, labels)``.
    """

    model: ReferenceModel
    clips: list[FloatArray]
    truths: Array

    def prompts(self) -> dict[str, Figures]:
        """Figures of every prompt that asks for the emotion, and of the token-level readings."""
        result: dict[str, Figures] = {}
        for prompt, read in READERS.items():
            question = render_prompt(prompt, LABEL_SET)
            answers = self.model.ask(prompt, self.clips, [question] * len(self.clips), LABEL_SET)
            result[prompt] = figures(self.truths, [read(a.text, LABEL_SET) for a in answers])
            if prompt == "distribution":
                result |= token_figures(self.truths, answers)
        return result

    def variations(self) -> dict[str, Figures]:
        """Figures of ``distribution`` with a transcript and context, and over four labels."""
        question = render_prompt(
            "distribution",
            LABEL_SET,
            transcript="It's eleven o'clock.",
            context=["What happened?"],
        )
        answers = self.model.ask(
            "distribution", self.clips, [question] * len(self.clips), LABEL_SET
        )
        with_words = [read_distribution(answer.text, LABEL_SET) for answer in answers]
        four = LABEL_SETS["iemocap-4"]
        shares = self.truths[:, [LABEL_SET.names.index(name) for name in four.names]]
        rows = np.flatnonzero(shares.sum(axis=1) >= 0.4)
        question = render_prompt("distribution", four)
        answers = self.model.ask(
            "distribution", [self.clips[row] for row in rows], [question] * len(rows), four
        )
        over_four = [read_distribution(answer.text, four) for answer in answers]
        truths = shares[rows] / shares[rows].sum(axis=1, keepdims=True)
        return {
            "with transcript and context": figures(self.truths, with_words),
            "iemocap-4": figures(truths, over_four),
        }

    def verifier(self, seed: int) -> Figures:
        """Agreement of the verifier's score with the fit to the votes, three candidates a clip."""
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
        answers = self.model.ask("verify", clips, questions, LABEL_SET)
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
        """Figures of the same clips with all samples 0, whose answers should be near the prior."""
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
        answers = self.model.ask("distribution", clips, [question] * len(clips), LABEL_SET)
        return [read_distribution(answer.text, LABEL_SET) for answer in answers]


def emodb_figures(model: ReferenceModel, folder: Path) -> dict[str, Figures]:
    """Figures of the Emo-DB speakers outside the training data."""
    labels = LABEL_SETS["emodb-7"]
    spoken = list(emodb_clips(folder, held_out=True))
    clips = [samples for samples, _ in spoken]
    truths = np.array([[float(name == emotion) for name in labels.names] for _, emotion in spoken])
    result: dict[str, Figures] = {}
    for prompt in ("distribution", "single"):
        question = render_prompt(prompt, labels)
        answers = model.ask(prompt, clips, [question] * len(clips), labels)
        result[prompt] = figures(truths, [READERS[prompt](a.text, labels) for a in answers])
    return result


def evaluate(folder: Path, *, clips: int, seed: int, emodb: Path | None) -> Evaluated:
    """All figures of one checkpoint.

    Args:
        folder: the checkpoint.
        clips: number of held-out synthetic clips.
        seed: of those clips.
        emodb: folder of Emo-DB's WAV files; its figures are left out without.
    """
    spoken = [synthetic_clip(index, seed=seed, split="test") for index in range(clips)]
    model = ReferenceModel(folder)
    held_out = Evaluation(
        model, [clip.samples for clip, _ in spoken], np.array([shares for _, shares in spoken])
    )
    result: Evaluated = {
        "seed": seed,
        "prompts": held_out.prompts(),
        "variations": held_out.variations(),
        "verify": held_out.verifier(seed),
        "silence": held_out.silence(),
    }
    if emodb is not None:
        result["emodb"] = emodb_figures(model, emodb)
    return result


def print_table(result: Evaluated) -> None:
    """Print the main figures as a table."""
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
    # The figures take minutes: they are kept even if the card cannot be written.
    (arguments.checkpoint / "evaluation.json").write_text(
        json.dumps(result, indent=1) + "\n", encoding="utf-8"
    )
    if arguments.training is not None:
        (arguments.checkpoint / "README.md").write_text(model_card(result), encoding="utf-8")


if __name__ == "__main__":
    main()
