"""Training of the model that hears words: ``python -m raypipe.tiny_alm.training.train_words``.

It starts from the bundled model, whose encoder knows voices but no words. In the first phase the
encoder learns which vowel and which word is being said at every 40 ms, beside the emotion and the
synthesiser's features. In the second the whole model answers questions.

State, log and checkpoint lie in the folder ``--out``; the same command resumes.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor
from transformers import Qwen2AudioProcessor

from raypipe.tiny_alm import checkpoint_path
from raypipe.tiny_alm.spoken import sentence
from raypipe.tiny_alm.synth import FEATURES, PROFILES, VOWELS
from raypipe.tiny_alm.training.data import PART_SIZE, SILENT, TrainingData, synthetic_data
from raypipe.tiny_alm.training.examples import TrainingExample, write_example
from raypipe.tiny_alm.training.model import (
    TEXT_WIDTH,
    build_processor,
    load_checkpoint,
)
from raypipe.tiny_alm.training.network import ListeningHead, encode, frames_of, pad_mels
from raypipe.tiny_alm.training.tokenizer import train_tokenizer
from raypipe.tiny_alm.training.train import run
from raypipe.tiny_alm.training.trainer import Trainer, TrainingSettings
from raypipe.tiny_alm.training.words import (
    WORDS,
    spoken_item,
    spoken_units,
    tokenizer_text,
    word_example,
)

VOCABULARY_SIZE = 1340
_DATA_SEED = 0
_ASKED = {
    "open_form": 0.3,
    "closed_form": 0.3,
    "open_form+cot": 0.2,
    "closed_form+cot": 0.2,
}
_USUAL = {
    "distribution": 0.35,
    "single": 0.25,
    "ambiguous": 0.15,
    "distribution+cot": 0.1,
    "verify": 0.15,
}
_WORD_WEIGHT = 2.0
_SPELLING_WEIGHT = 1.0
_FEATURES_WEIGHT = 0.3


class WordTrainer(Trainer):
    """A :class:`Trainer` whose clips say words.

    Args:
        settings: as its.
        data: clips of ``words.spoken_item``, in the order of their numbers.
        units: of the same clips, see ``words.spoken_units``.
        processor: with the tokenizer of words.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        data: TrainingData,
        units: Sequence[NDArray[np.int8]],
        processor: Qwen2AudioProcessor,
    ) -> None:
        super().__init__(settings, data, processor)
        self._units = units
        _start_from(self.model, self.processor)
        self._deviations = torch.from_numpy(PROFILES.std(axis=0)).float()

    def _more_listening(self) -> list[torch.nn.Module]:
        self.speller = torch.nn.Linear(TEXT_WIDTH, len(VOWELS) + len(WORDS) + 2)
        self.features = ListeningHead(TEXT_WIDTH, len(FEATURES))
        return [self.speller, self.features]

    def _weigh_tokens(self) -> Tensor:
        weights = super()._weigh_tokens()
        for word in WORDS:
            for form in (word, " " + word):
                weights[self._tokens(form)] = _WORD_WEIGHT
        return weights

    def _encode(self, clips: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mels = [self.data.mels[clip] for clip in clips]
        embeddings, real = encode(self.model, pad_mels(mels), frames_of(mels))
        estimate = self.head(embeddings.float(), real).float()
        truth = torch.from_numpy(self.data.truth[clips])
        loss = -(truth * functional.log_softmax(estimate, -1)).sum(-1).mean()
        self.spelling = self._spelling_loss(clips, embeddings, real)
        delivery = torch.from_numpy(self.data.delivery[clips]) / self._deviations
        heard = ~delivery.isnan()
        missed = self.features(embeddings.float(), real).float() - delivery
        self.feature_loss = (missed[heard] ** 2).mean()
        weight = 1.0 / self.settings.listening_weight if self._answering else 1.0
        total = (
            loss + weight * _SPELLING_WEIGHT * self.spelling + _FEATURES_WEIGHT * self.feature_loss
        )
        return embeddings, real, estimate, total

    def _spelling_loss(self, clips: list[int], embeddings: Tensor, real: Tensor) -> Tensor:
        """Mean cross-entropy of the vowel and of the word at every token of a voice."""
        targets = torch.zeros(*real.shape, 2, dtype=torch.int64)
        for row, clip in enumerate(clips):
            units = torch.from_numpy(self._units[clip][: real.shape[1]])
            targets[row, : len(units)] = units
        logits = self.speller(embeddings).float()[real]
        vowels, words = logits.split([1 + len(VOWELS), 1 + len(WORDS)], -1)
        own = targets[real]
        return functional.cross_entropy(vowels, own[:, 0]) + functional.cross_entropy(
            words, own[:, 1]
        )

    @property
    def _answering(self) -> bool:
        return self.step >= self.settings.listening_steps

    def update(self) -> dict[str, float]:
        """Losses by name of one optimiser step in the current phase."""
        losses = super().update()
        return losses | {
            "spelling": float(self.spelling.detach()),
            "features": float(self.feature_loss.detach()),
        }

    def _examples(
        self, clips: list[int], estimate: Tensor, rng: np.random.Generator
    ) -> list[tuple[int, TrainingExample]]:
        estimated = torch.softmax(estimate, -1).numpy().astype(np.float64)
        share = self.settings.head_share
        examples = []
        for row, clip in enumerate(clips):
            blend = (1.0 - share) * self.data.truth[clip] + share * estimated[row]
            silent = self.data.origin[clip] == SILENT
            said = None if silent else sentence(clip, "pretrain", _DATA_SEED)
            for prompt in ("transcribe", _drawn(_ASKED, rng)):
                examples.append((row, word_example(prompt, blend, self.data, clip, said, rng)))
            usual = write_example(_drawn(_USUAL, rng), blend, self.data, clip, rng, 0.6)
            examples.append((row, usual))
        return examples

    def state(self) -> dict[str, Any]:
        """State to resume from."""
        heads = {"speller": self.speller.state_dict(), "features": self.features.state_dict()}
        return super().state() | heads

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from :meth:`state`."""
        super().restore(state)
        self.speller.load_state_dict(state["speller"])
        self.features.load_state_dict(state["features"])


def _drawn(shares: dict[str, float], rng: np.random.Generator) -> str:
    return str(rng.choice(list(shares), p=list(shares.values())))


def _start_from(model: torch.nn.Module, processor: Qwen2AudioProcessor) -> None:
    """Weights of the bundled model; rows of tokens that it has not stay as they are."""
    bundled, known = load_checkpoint(checkpoint_path())
    old, new = known.tokenizer.get_vocab(), processor.tokenizer.get_vocab()
    shared = sorted(old.keys() & new.keys())
    own = model.state_dict()
    for name, weights in bundled.state_dict().items():
        if own[name].shape == weights.shape:
            own[name].copy_(weights)
        else:
            own[name][[new[token] for token in shared]] = weights[[old[token] for token in shared]]
    model.load_state_dict(own)


def load_or_build_processor(out: Path) -> Qwen2AudioProcessor:
    """Processor of the run in ``out``, built and saved there for a new run."""
    folder = out / "processor"
    if not folder.exists():
        tokenizer = train_tokenizer(list(tokenizer_text()), VOCABULARY_SIZE)
        build_processor(tokenizer).save_pretrained(folder)
    return Qwen2AudioProcessor.from_pretrained(folder, local_files_only=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="state, log and checkpoint")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--stop-at", type=int)
    defaults = TrainingSettings(clips=16_000, listening_steps=1_600, answering_steps=1_600)
    for name in ("clips", "listening_steps", "answering_steps", "polishing_steps"):
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=int, default=getattr(defaults, name))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = TrainingSettings(
        clips=arguments.clips,
        listening_steps=arguments.listening_steps,
        answering_steps=arguments.answering_steps,
        polishing_steps=arguments.polishing_steps,
    )
    data = synthetic_data(
        arguments.out / "mels",
        settings.clips,
        seed=_DATA_SEED,
        workers=arguments.threads,
        item=spoken_item,
    )
    with multiprocessing.get_context("spawn").Pool(arguments.threads) as pool:
        make = partial(spoken_units, seed=_DATA_SEED)
        units = pool.map(make, range(settings.clips), chunksize=PART_SIZE)
    trainer = WordTrainer(settings, data, units, load_or_build_processor(arguments.out))
    run(trainer, arguments.out, stop_at=arguments.stop_at)


if __name__ == "__main__":
    main()
