"""Train the bundled model: ``python -m raypipe.tiny_alm.train --out DIR [--emodb DIR]``.

About an hour on two CPU cores. From the loss on text alone a model this small learns the format
and never learns to listen, because format tokens drown the few that carry information. Hence:

1. *Listening*: the audio encoder with a pooled head, cross-entropy to the vote shares.
2. *Answering*: the whole model on several questions per clip; digits weigh more than format, the
   listening loss stays on at a small weight. Answers state a blend of the true shares and the
   listening head's own estimate, so that the model says what can be heard, not what cannot.
3. *Polishing*: the same at lower rates, with half of the label sets unusual ones.

Two small terms shape the raw logits of emotion words at every answer position, so that token-level
evidence means something: their softmax and their plain shares agree with the answer, they stay
positive, and the log-sum-exp of all logits stays near that of large models.

Everything is seeded per step, and the state is kept in ``DIR/state.pt``: run the same command again
and it goes on. The finished checkpoint is ``DIR/checkpoint``.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from rich.progress import Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor
from transformers import Qwen2AudioProcessor

from raypipe.labels import ALIASES
from raypipe.tiny_alm.lessons import Lesson, write_lesson
from raypipe.tiny_alm.material import (
    HEARD,
    REAL,
    Material,
    emodb_material,
    synthetic_material,
)
from raypipe.tiny_alm.model import TEXT_WIDTH, build_model, build_processor, save_checkpoint
from raypipe.tiny_alm.network import (
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
from raypipe.tiny_alm.tokenizer import surface_forms

KNOWN_LABELS = tuple(sorted(ALIASES))
_REAL_SHARE = 0.1
_PEAK_RATE = 1e-3
_TARGET_LOG_SUM = 20.0
_DIGIT_WEIGHT = 4.0
_LABEL_WEIGHT = 2.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides the result of a training run.

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


class Course:
    """Model, head, optimiser and material of one training run.

    Args:
        settings: what decides the result.
        material: the training clips.
        processor: whose tokenizer the model learns; made anew if None.
    """

    def __init__(
        self,
        settings: Settings,
        material: Material,
        processor: Qwen2AudioProcessor | None = None,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.material = material
        self.processor = processor or build_processor()
        self.model = build_model(self.processor)
        self.model.train()
        self.head = ListeningHead(TEXT_WIDTH, len(HEARD))
        self.step = 0
        self.seconds = 0.0
        self.optimizer = torch.optim.AdamW(self._groups(), lr=_PEAK_RATE, betas=(0.9, 0.98))
        self._real = np.flatnonzero(material.origin == REAL)
        self._synthetic = np.flatnonzero(material.origin != REAL)
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

    def _groups(self) -> list[dict[str, Any]]:
        """Listening parts first, language parts second: their rates follow different courses."""
        listening = [
            *self.model.model.audio_tower.parameters(),
            *self.model.model.multi_modal_projector.parameters(),
            *self.head.parameters(),
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
        """One optimiser step of whichever phase is due; its losses by name."""
        started = time.monotonic()
        rng = np.random.default_rng([self.settings.seed, self.step])
        self._set_rates()
        listening = self.step < self.settings.listening_steps
        with torch.autocast("cpu", torch.bfloat16):
            losses = self._listen(rng) if listening else self._answer(rng)
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
        """Clips of similar length, a tenth of them real speech if there is any."""
        pool = rng.choice(self._synthetic, 4 * count, replace=False)
        pool = pool[np.argsort(self.material.frames[pool], kind="stable")]
        start = int(rng.integers(4)) * count
        chosen: list[int] = pool[start : start + count].tolist()
        if len(self._real):
            replaced = rng.random(count) < _REAL_SHARE
            drawn = rng.choice(self._real, count).tolist()
            chosen = [b if r else a for a, b, r in zip(chosen, drawn, replaced, strict=True)]
        return chosen

    def _hear(self, clips: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mels = [self.material.mels[clip] for clip in clips]
        embeddings, real = encode(self.model, pad_mels(mels), frames_of(mels))
        estimate = self.head(embeddings.float(), real).float()
        truth = torch.from_numpy(self.material.truth[clips])
        loss = -(truth * functional.log_softmax(estimate, -1)).sum(-1).mean()
        return embeddings, real, estimate, loss

    def _listen(self, rng: np.random.Generator) -> dict[str, Tensor]:
        *_, loss = self._hear(self._draw(self.settings.listening_batch, rng))
        return {"listening": loss, "total": loss}

    def _answer(self, rng: np.random.Generator) -> dict[str, Tensor]:
        clips = self._draw(self.settings.answering_batch, rng)
        embeddings, real, estimate, listening = self._hear(clips)
        lessons = self._lessons(clips, estimate.detach(), rng)
        branches = [
            Branch(
                row,
                [*self._tokens(lesson.question), *self._after_question],
                [*self._tokens(lesson.answer), self.processor.tokenizer.eos_token_id],
            )
            for row, lesson in lessons
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
        losses |= self._token_losses(logits, packed.branch_of, [lesson for _, lesson in lessons])
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

    def _lessons(
        self, clips: list[int], estimate: Tensor, rng: np.random.Generator
    ) -> list[tuple[int, Lesson]]:
        """Three questions a clip: the distribution, a candidate to verify, and one other."""
        estimated = torch.softmax(estimate, -1).numpy().astype(np.float64)
        share = self.settings.head_share
        canonical_share = 0.5 if self._polishing else 0.75
        lessons = []
        for row, clip in enumerate(clips):
            blend = (1.0 - share) * self.material.truth[clip] + share * estimated[row]
            other = str(rng.choice(["distribution+cot", "ambiguous", "single"], p=[0.5, 0.3, 0.2]))
            if other == "distribution+cot" and self.material.origin[clip] == REAL:
                other = "ambiguous"  # nobody noted how the real clips are spoken
            for prompt in ("distribution", "verify", other):
                lesson = write_lesson(prompt, blend, self.material, clip, rng, canonical_share)
                lessons.append((row, lesson))
        return lessons

    def _text_losses(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        weights = self._token_weights[targets]
        text = functional.cross_entropy(logits, targets, reduction="none")
        log_sum = torch.logsumexp(logits, -1)
        return {
            "text": (weights * text).sum() / weights.sum(),
            "scale": ((log_sum - _TARGET_LOG_SUM) ** 2).mean(),
        }

    def _token_losses(
        self, logits: Tensor, branch_of: Tensor, lessons: list[Lesson]
    ) -> dict[str, Tensor]:
        """Agreement of the emotion words' raw logits with the distribution behind each answer."""
        asked = torch.zeros(len(lessons), len(KNOWN_LABELS), dtype=torch.bool)
        truth = torch.zeros(len(lessons), len(KNOWN_LABELS))
        for row, lesson in enumerate(lessons):
            columns = [KNOWN_LABELS.index(name) for name in lesson.labels.names]
            asked[row, columns] = True
            truth[row, columns] = torch.from_numpy(lesson.probs).float()
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
        """Everything needed to go on."""
        return {
            "settings": asdict(self.settings),
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`.

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


def run(course: Course, out: Path, *, save_every: int = 100, stop_at: int | None = None) -> None:
    """Train from wherever ``out/state.pt`` stands, and export the checkpoint at every save.

    Args:
        course: a fresh course.
        out: folder of the state, the log and the checkpoint.
        save_every: updates between two saves.
        stop_at: leave off after this many updates, as an interruption would.
    """
    out.mkdir(parents=True, exist_ok=True)
    if (out / "state.pt").exists():
        course.restore(torch.load(out / "state.pt", weights_only=True))
    last = min(course.settings.steps, stop_at or course.settings.steps)
    columns = (*Progress.get_default_columns()[:-1], TimeElapsedColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, TextColumn("{task.fields[loss]}")) as progress,
        (out / "log.jsonl").open("a", encoding="utf-8") as log,
    ):
        bar = progress.add_task("training", total=last, completed=course.step, loss="")
        while course.step < last:
            losses = course.update()
            text = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
            progress.update(bar, completed=course.step, loss=text)
            log.write(json.dumps({"step": course.step, "s": course.seconds, **losses}) + "\n")
            if course.step % save_every == 0 or course.step == last:
                log.flush()
                _save(course, out)
    _describe(course, out)


def _save(course: Course, out: Path) -> None:
    temporary = out / "state.tmp"
    torch.save(course.state(), temporary)
    temporary.rename(out / "state.pt")
    if course.step > course.settings.listening_steps:
        save_checkpoint(course.model, course.processor, out / "checkpoint")


def _describe(course: Course, out: Path) -> None:
    """Leave the facts for the model card."""
    facts = {
        **asdict(course.settings),
        "steps_done": course.step,
        "hours": course.seconds / 3600.0,
        "parameters": sum(parameter.numel() for parameter in course.model.parameters()),
        "real_clips": int((course.material.origin == REAL).sum()),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    (out / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def kept_processor(out: Path) -> Qwen2AudioProcessor:
    """The processor of the run in ``out``, made and kept there if it is a new run.

    A state means nothing without the tokenizer it was trained with, and a tokenizer trained anew
    has other ids as soon as a prompt or a label has changed.
    """
    folder = out / "processor"
    if not folder.exists():
        build_processor().save_pretrained(folder)
    return Qwen2AudioProcessor.from_pretrained(folder, local_files_only=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="state, log and checkpoint")
    parser.add_argument("--emodb", type=Path, help="folder of Emo-DB's WAV files, mixed in")
    parser.add_argument("--threads", type=int, default=2)
    defaults = Settings()
    for name in ("seed", "clips", "listening_steps", "answering_steps", "polishing_steps"):
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=int, default=getattr(defaults, name))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = Settings(
        seed=arguments.seed,
        clips=arguments.clips,
        listening_steps=arguments.listening_steps,
        answering_steps=arguments.answering_steps,
        polishing_steps=arguments.polishing_steps,
    )
    material = synthetic_material(
        arguments.out / "mels", settings.clips, seed=settings.seed, workers=arguments.threads
    )
    if arguments.emodb is not None:
        material = material.joined(emodb_material(arguments.emodb, seed=settings.seed))
    processor = kept_processor(arguments.out)
    run(Course(settings, material, processor), arguments.out)


if __name__ == "__main__":
    main()
