"""Training of the bundled model, run as ``python -m raypipe.tiny_alm.training.train``.

It takes about an hour on two CPU cores. From the loss on text alone a model this small learns only
the format, because format tokens outnumber the few that carry information. Hence three phases:

1. *Listening*: the audio encoder with a pooled head, cross-entropy to the vote shares.
2. *Answering*: the whole model on several questions per clip; digits weigh more than format, the
   listening loss stays on at a small weight. Answers state a blend of the true shares and the
   listening head's own estimate, so that no answer states more than the audio can show.
3. *Polishing*: the same at lower rates, with half of the label sets unusual ones.

Every step has its own seed, and the state is kept in ``state.pt`` of the folder ``--out``: the same
command resumes from it. The finished checkpoint is the subfolder ``checkpoint``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch
from rich.progress import Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import Qwen2AudioProcessor

from raypipe.tiny_alm.training.data import REAL, emodb_data, synthetic_data
from raypipe.tiny_alm.training.model import build_processor, save_checkpoint
from raypipe.tiny_alm.training.trainer import Trainer, TrainingSettings


def run(trainer: Trainer, out: Path, *, save_every: int = 100, stop_at: int | None = None) -> None:
    """Train from ``out/state.pt``, if there is one, and write the checkpoint at every save.

    Args:
        trainer: at its first step.
        out: folder of the state, the log and the checkpoint.
        save_every: updates between two saves.
        stop_at: number of updates after which to stop, as an interruption would.
    """
    out.mkdir(parents=True, exist_ok=True)
    if (out / "state.pt").exists():
        trainer.restore(torch.load(out / "state.pt", weights_only=True))
    last = min(trainer.settings.steps, stop_at or trainer.settings.steps)
    columns = (*Progress.get_default_columns()[:-1], TimeElapsedColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, TextColumn("{task.fields[loss]}")) as progress,
        (out / "log.jsonl").open("a", encoding="utf-8") as log,
    ):
        bar = progress.add_task("training", total=last, completed=trainer.step, loss="")
        while trainer.step < last:
            losses = trainer.update()
            text = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
            progress.update(bar, completed=trainer.step, loss=text)
            log.write(json.dumps({"step": trainer.step, "s": trainer.seconds, **losses}) + "\n")
            if trainer.step % save_every == 0 or trainer.step == last:
                log.flush()
                _save(trainer, out)
    _describe(trainer, out)


def _save(trainer: Trainer, out: Path) -> None:
    temporary = out / "state.tmp"
    torch.save(trainer.state(), temporary)
    temporary.rename(out / "state.pt")
    if trainer.step > trainer.settings.listening_steps:
        save_checkpoint(trainer.model, trainer.processor, out / "checkpoint")


def _describe(trainer: Trainer, out: Path) -> None:
    """Write the facts for the model card."""
    facts = {
        **asdict(trainer.settings),
        "steps_done": trainer.step,
        "hours": trainer.seconds / 3600.0,
        "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
        "real_clips": int((trainer.data.origin == REAL).sum()),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    (out / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def load_or_build_processor(out: Path) -> Qwen2AudioProcessor:
    """Processor of the run in ``out``, built and saved there for a new run.

    A state needs the tokenizer it was trained with, and a tokenizer that is trained after a prompt
    or a label has changed has other ids.
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
    defaults = TrainingSettings()
    for name in ("seed", "clips", "listening_steps", "answering_steps", "polishing_steps"):
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=int, default=getattr(defaults, name))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = TrainingSettings(
        seed=arguments.seed,
        clips=arguments.clips,
        listening_steps=arguments.listening_steps,
        answering_steps=arguments.answering_steps,
        polishing_steps=arguments.polishing_steps,
    )
    data = synthetic_data(
        arguments.out / "mels", settings.clips, seed=settings.seed, workers=arguments.threads
    )
    if arguments.emodb is not None:
        data = data.joined(emodb_data(arguments.emodb, seed=settings.seed))
    processor = load_or_build_processor(arguments.out)
    run(Trainer(settings, data, processor), arguments.out)


if __name__ == "__main__":
    main()
