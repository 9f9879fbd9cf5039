"""What transformers' own generate() says, one utterance at a time, through the plain processor."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import regex
import torch
import transformers


@dataclass(frozen=True)
class Answer:
    token_ids: tuple[int, ...]
    score: float
    emotion_logits: np.ndarray
    alpha: float  # the model's own log-probabilities; score is what generate() says


class Reference:
    repetition_penalty: float | None = None

    def __init__(self, checkpoint: Path, recorded_ids: tuple[int, ...], max_new_tokens: int):
        (architecture,) = transformers.AutoConfig.from_pretrained(checkpoint).architectures
        self.audio_first = architecture.startswith("Qwen2Audio")
        self.processor = transformers.AutoProcessor.from_pretrained(checkpoint)
        kind = getattr(transformers, architecture)
        self.model = kind.from_pretrained(checkpoint, dtype=torch.float32).eval()
        self.recorded_ids = list(recorded_ids)
        self.max_new_tokens = max_new_tokens
        self.follows: Follows | None = None

    def penalised(self, repetition_penalty: float) -> Reference:
        """The same model, with generate() holding repetitions against tokens."""
        other = copy.copy(self)
        other.repetition_penalty = repetition_penalty
        return other

    def held_to(self, pattern: str, max_new_tokens: int) -> Reference:
        """The same model, with generate() following a regular expression of ASCII text."""
        held = copy.copy(self)
        held.max_new_tokens = max_new_tokens
        ends = self.model.generation_config.eos_token_id
        held.follows = Follows(pattern, self.processor.tokenizer, tuple(ends))
        return held

    def inputs(self, prompt: str, samples: np.ndarray | None) -> dict[str, torch.Tensor]:
        content = [{"type": "audio"}, {"type": "text", "text": prompt}]
        if samples is None:
            turn = self.processor.apply_chat_template(
                [{"role": "user", "content": content[1:]}],
                add_generation_prompt=True,
                tokenize=False,
            )
            return self.processor.tokenizer([turn], return_tensors="pt")
        conversation = [{"role": "user", "content": content[:: 1 if self.audio_first else -1]}]
        turn = self.processor.apply_chat_template(
            conversation, add_generation_prompt=True, tokenize=False
        )
        return self.processor(
            text=[turn], audio=[samples], sampling_rate=16000, return_tensors="pt"
        )

    def beams(self, prompt: str, samples: np.ndarray | None, beam_count: int) -> list[Answer]:
        out, prompt_width = self._generate(
            prompt,
            samples,
            num_beams=beam_count,
            num_return_sequences=beam_count,
            length_penalty=0.0,
            early_stopping=False,
            output_scores=True,
        )
        answers = []
        for rank in range(beam_count):
            lanes = out.beam_indices[rank]
            steps = int((lanes >= 0).sum())
            logits = [out.logits[step][lanes[step], self.recorded_ids] for step in range(steps)]
            token_ids = out.sequences[rank, prompt_width : prompt_width + steps]
            score = float(out.sequences_scores[rank])
            if score < -1e8:  # generate() fills up with copies where there are too few answers
                continue
            alpha = sum(
                float(out.logits[step][lanes[step]].double().log_softmax(-1)[token_ids[step]])
                for step in range(steps)
            )
            recorded = torch.stack(logits).numpy()
            answers.append(Answer(tuple(token_ids.tolist()), score, recorded, alpha))
        return answers

    def greedy(self, prompt: str, samples: np.ndarray | None) -> Answer:
        out, prompt_width = self._generate(prompt, samples, output_scores=True)
        token_ids = tuple(out.sequences[0, prompt_width:].tolist())
        score, alpha = (
            sum(
                float(logits[0].double().log_softmax(-1)[token_id])
                for token_id, logits in zip(token_ids, steps, strict=True)
            )
            for steps in (out.scores, out.logits)
        )
        logits = torch.stack([logits[0, self.recorded_ids] for logits in out.logits])
        return Answer(token_ids, score, logits.numpy(), alpha)

    def _generate(self, prompt, samples, **search):
        inputs = self.inputs(prompt, samples)
        # Given embeddings, generate() repeats nothing of the prompt.
        prompt_width = inputs["input_ids"].shape[1] if "input_ids" in inputs else 0
        if self.repetition_penalty is not None:
            search["repetition_penalty"] = self.repetition_penalty
        if self.follows is not None:
            search["logits_processor"] = [self.follows.after(prompt_width)]
        with torch.inference_mode():
            out = self.model.generate(
                **inputs,
                **search,
                do_sample=False,
                max_new_tokens=self.max_new_tokens,
                output_logits=True,
                return_dict_in_generate=True,
            )
        return out, prompt_width


class Follows:
    """Which tokens can go on with a text, by trying every one of them.

    Nothing of raypipe or its grammar library is in it: the package regex knows whether a text can
    still become a match.
    """

    def __init__(self, pattern: str, tokenizer, end_ids: tuple[int, ...]):
        self.pattern, self.end_ids = regex.compile(pattern), end_ids
        special = set(tokenizer.all_special_ids)
        self.texts = {
            token_id: text
            for token_id in range(len(tokenizer))
            if (text := tokenizer.decode([token_id])).isascii() and token_id not in special
        }
        self.allowed = cache(self._allowed)

    def text(self, token_ids) -> str | None:
        """None if an end token or another one without a text is among them."""
        parts = [self.texts.get(token_id) for token_id in token_ids]
        return None if None in parts else "".join(parts)

    def _allowed(self, text: str | None) -> tuple[int, ...]:
        if text is None:
            return ()
        going_on = tuple(
            token_id
            for token_id, more in self.texts.items()
            if more and self.pattern.fullmatch(text + more, partial=True)
        )
        return going_on + self.end_ids if self.pattern.fullmatch(text) else going_on

    def after(self, prompt_width: int):
        def process(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            seen = torch.full_like(scores, float("-inf"))
            for row, token_ids in enumerate(input_ids[:, prompt_width:].tolist()):
                allowed = list(self.allowed(self.text(token_ids)))
                seen[row, allowed] = scores[row, allowed]
            return seen

        return process
