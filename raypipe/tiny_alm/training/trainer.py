"""One training run of the bundled model: settings, losses, optimiser and its learning rates.

Two small terms shape the raw logits of emotion words at every answer position, so that token-level
evidence means something: their softmax and their plain shares agree with the answer, they stay
positive, and the log-sum-exp of all logits stays near that of large models.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor
from transformers import Qwen2AudioProcessor

from raypipe.labels import ALIASES
from raypipe.tiny_alm.training.data import REAL, TARGET_LABELS, TrainingData
from raypipe.tiny_alm.training.examples import TrainingExample, write_example
from raypipe.tiny_alm.training.model import TEXT_WIDTH, build_model, build_processor
from raypipe.tiny_alm.training.network import (
    AFTER_AUDIO,
    AFTER_QUESTION,
    PREFIX,
    Branch,
    ListeningHead,
    answer_logits,
    encode,
    frames_of,
    pack,
    pad_mels,
)
from raypipe.tiny_alm.training.tokenizer import surface_forms

KNOWN_LABELS = tuple(sorted(ALIASES))
_REAL_SHARE = 0.1
_PEAK_RATE = 1e-3
_TARGET_LOG_SUM = 20.0
_DIGIT_WEIGHT = 4.0
_LABEL_WEIGHT = 2.0


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Settings that determine the result of a training run.

    Attributes:
        clips: number of synthetic training clips.
        listening_steps: updates of the first phase, of ``listening_batch`` clips each.
        answering_steps: updates of the second phase, of ``answering_batch`` clips each.
        polishing_steps: updates of the third phase, with batches as in the second.
        head_share: share of the listening head's estimate in what the answers state.
    """

    seed: int = 0
    clips: int = 20_000
    listening_steps: int = 800
    listening_batch: int = 48
    answering_steps: int = 1_700
    answering_batch: int = 16
    polishing_steps: int = 500
    listening_weight: float = 0.2
    token_weight: float = 0.1
    positive_weight: float = 0.02
    scale_weight: float = 1e-3
    head_share: float = 0.5

    @property
    def steps(self) -> int:
        """Updates of all phases."""
        return self.listening_steps + self.answering_steps + self.polishing_steps


class Trainer:
    """Model, head, optimiser and data of one training run.

    Args:
        settings: what determines the result.
        data: the training clips.
        processor: with the model's tokenizer; a new one if None.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        data: TrainingData,
        processor: Qwen2AudioProcessor | None = None,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.data = data
        self.processor = processor or build_processor()
        self.model = build_model(self.processor)
        self.model.train()
        self.head = ListeningHead(TEXT_WIDTH, len(TARGET_LABELS))
        self._heads = [self.head, *self._more_listening()]
        self.step = 0
        self.seconds = 0.0
        self.optimizer = torch.optim.AdamW(self._groups(), lr=_PEAK_RATE, betas=(0.9, 0.98))
        self._real = np.flatnonzero(data.origin == REAL)
        self._synthetic = np.flatnonzero(data.origin != REAL)
        tokenizer = self.processor.tokenizer
        self._tokens: Callable[[str], list[int]] = lambda text: tokenizer.encode(
            text, add_special_tokens=False
        )
        self._prefix, self._after_audio, self._after_question = (
            self._tokens(text) for text in (PREFIX, AFTER_AUDIO, AFTER_QUESTION)
        )
        self._audio_id = int(tokenizer.convert_tokens_to_ids("<|AUDIO|>"))
        self._word_ids = [
            [token for form in surface_forms(label) for token in self._tokens(form)]
            for label in KNOWN_LABELS
        ]
        self._token_weights = self._weigh_tokens()

    def _more_listening(self) -> list[torch.nn.Module]:
        """Further heads that are trained with the listening parts."""
        return []

    def _groups(self) -> list[dict[str, object]]:
        """Listening parts first, language parts second: their rates follow different courses."""
        listening = [
            *self.model.model.audio_tower.parameters(),
            *self.model.model.multi_modal_projector.parameters(),
            *(parameter for head in self._heads for parameter in head.parameters()),
        ]
        language = [
            *self.model.model.language_model.parameters(),
            *self.model.lm_head.parameters(),
        ]
        return [
            {"params": [p for p in part if p.requires_grad], "weight_decay": 0.01}
            for part in (listening, language)
        ]

    def _weigh_tokens(self) -> Tensor:
        """Weight of each target token in the loss, shape ``(vocabulary,)``."""
        weights = torch.ones(self.model.config.text_config.vocab_size)
        weights[[token for ids in self._word_ids for token in ids]] = _LABEL_WEIGHT
        weights[[token for digit in "0123456789" for token in self._tokens(digit)]] = _DIGIT_WEIGHT
        return weights

    def update(self) -> dict[str, float]:
        """Losses by name of one optimiser step in the current phase."""
        started = time.monotonic()
        rng = np.random.default_rng([self.settings.seed, self.step])
        self._set_rates()
        listening = self.step < self.settings.listening_steps
        with torch.autocast("cpu", torch.bfloat16):
            losses = self._listening_losses(rng) if listening else self._answering_losses(rng)
        self.optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        for group in self.optimizer.param_groups:
            torch.nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.optimizer.step()
        self.step += 1
        self.seconds += time.monotonic() - started
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _set_rates(self) -> None:
        settings = self.settings
        if self.step < settings.listening_steps:
            peaks, share = (1.0, 0.0), self.step / settings.listening_steps
        elif not self._polishing:
            peaks = (0.3, 1.5)
            share = (self.step - settings.listening_steps) / settings.answering_steps
        else:
            peaks, share = (0.1, 0.5), 1.0 - (settings.steps - self.step) / settings.polishing_steps
        rates = [peak * _PEAK_RATE * _warm_cosine(share) for peak in peaks]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    @property
    def _polishing(self) -> bool:
        return self.step >= self.settings.listening_steps + self.settings.answering_steps

    def _draw(self, count: int, rng: np.random.Generator) -> list[int]:
        """Indices of clips of similar length, a tenth of them real speech if there is any."""
        pool = rng.choice(self._synthetic, 4 * count, replace=False)
        pool = pool[np.argsort(self.data.frames[pool], kind="stable")]
        start = int(rng.integers(4)) * count
        chosen: list[int] = pool[start : start + count].tolist()
        if len(self._real):
            replaced = rng.random(count) < _REAL_SHARE
            drawn = rng.choice(self._real, count).tolist()
            chosen = [b if r else a for a, b, r in zip(chosen, drawn, replaced, strict=True)]
        return chosen

    def _encode(self, clips: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mels = [self.data.mels[clip] for clip in clips]
        embeddings, real = encode(self.model, pad_mels(mels), frames_of(mels))
        estimate = self.head(embeddings.float(), real).float()
        truth = torch.from_numpy(self.data.truth[clips])
        loss = -(truth * functional.log_softmax(estimate, -1)).sum(-1).mean()
        return embeddings, real, estimate, loss

    def _listening_losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        *_, loss = self._encode(self._draw(self.settings.listening_batch, rng))
        return {"listening": loss, "total": loss}

    def _answering_losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        clips = self._draw(self.settings.answering_batch, rng)
        embeddings, real, estimate, listening = self._encode(clips)
        examples = self._examples(clips, estimate.detach(), rng)
        branches = [
            Branch(
                row,
                [*self._tokens(example.question), *self._after_question],
                [*self._tokens(example.answer), self.processor.tokenizer.eos_token_id],
            )
            for row, example in examples
        ]
        packed = pack(
            real.sum(1).tolist(),
            branches,
            prefix=self._prefix,
            audio_id=self._audio_id,
            after_audio=self._after_audio,
        )
        logits = answer_logits(self.model, packed, embeddings, real).float()
        losses = self._text_losses(logits, packed.targets)
        losses |= self._token_losses(logits, packed.branch_of, [example for _, example in examples])
        settings = self.settings
        losses["listening"] = listening
        losses["total"] = (
            losses["text"]
            + settings.listening_weight * listening
            + settings.token_weight * (losses["softmax"] + losses["share"])
            + settings.positive_weight * losses["positive"]
            + settings.scale_weight * losses["scale"]
        )
        return losses

    def _examples(
        self, clips: list[int], estimate: Tensor, rng: np.random.Generator
    ) -> list[tuple[int, TrainingExample]]:
        """Three examples a clip: the distribution, a candidate to verify, and another prompt."""
        estimated = torch.softmax(estimate, -1).numpy().astype(np.float64)
        share = self.settings.head_share
        canonical_share = 0.5 if self._polishing else 0.75
        examples = []
        for row, clip in enumerate(clips):
            blend = (1.0 - share) * self.data.truth[clip] + share * estimated[row]
            other = str(rng.choice(["distribution+cot", "ambiguous", "single"], p=[0.5, 0.3, 0.2]))
            if other == "distribution+cot" and self.data.origin[clip] == REAL:
                other = "ambiguous"  # the notes need the synthesiser's features
            for prompt in ("distribution", "verify", other):
                example = write_example(prompt, blend, self.data, clip, rng, canonical_share)
                examples.append((row, example))
        return examples

    def _text_losses(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        weights = self._token_weights[targets]
        text = functional.cross_entropy(logits, targets, reduction="none")
        log_sum = torch.logsumexp(logits, -1)
        return {
            "text": (weights * text).sum() / weights.sum(),
            "scale": ((log_sum - _TARGET_LOG_SUM) ** 2).mean(),
        }

    def _token_losses(
        self, logits: Tensor, branch_of: Tensor, examples: list[TrainingExample]
    ) -> dict[str, Tensor]:
        """Losses of the emotion words' raw logits against the distribution of each answer."""
        asked = torch.zeros(len(examples), len(KNOWN_LABELS), dtype=torch.bool)
        truth = torch.zeros(len(examples), len(KNOWN_LABELS))
        for row, example in enumerate(examples):
            columns = [KNOWN_LABELS.index(name) for name in example.labels.names]
            asked[row, columns] = True
            truth[row, columns] = torch.from_numpy(example.probs).float()
        asked, truth = asked[branch_of], truth[branch_of]
        scores = logits[:, torch.tensor(self._word_ids)].mean(-1)
        log_probs = functional.log_softmax(scores.masked_fill(~asked, -1e4), -1)
        positive = scores.clamp(min=0.05) * asked
        log_shares = (positive / positive.sum(-1, keepdim=True)).clamp(min=1e-4).log()
        shortfall = functional.relu(1.0 - scores) ** 2 * asked
        return {
            "softmax": -(truth * log_probs).sum(-1).mean(),
            "share": -(truth * log_shares).sum(-1).mean(),
            "positive": shortfall.sum(-1).mean(),
        }

    def state(self) -> dict[str, Any]:
        """State to resume from."""
        return {
            "settings": asdict(self.settings),
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from :meth:`state`.

        Raises:
            ValueError: if the state belongs to a run with other settings.
        """
        if state["settings"] != asdict(self.settings):
            raise ValueError(f"the state was made with {state['settings']}")
        self.step, self.seconds = state["step"], state["seconds"]
        self.model.load_state_dict(state["model"])
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])


def _warm_cosine(share: float) -> float:
    """Learning rate over its peak at a share of a phase: 5 % warm-up, cosine down to 2 %."""
    return min(share / 0.05, 1.0) * (0.02 + 0.49 * (1.0 + math.cos(math.pi * share))) + 1e-4
