"""Forward passes for training: what generation computes, with shared audio prefixes.

Only real frames are encoded, which is exact for Qwen2-Audio (padded keys are masked there), and the
several questions about a clip share one audio prefix: they are branches of one sequence that see
the prefix and themselves, and nothing of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from raypipe.tiny_alm.training.data import RIGHT_CONTEXT

if TYPE_CHECKING:
    from transformers import Qwen2AudioForConditionalGeneration

PREFIX = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\nAudio 1: <|audio_bos|>"
)
AFTER_AUDIO = "<|audio_eos|>\n"
AFTER_QUESTION = "<|im_end|>\n<|im_start|>assistant\n"


def output_length(frames: int) -> int:
    """Number of audio tokens that the encoder makes of so many mel frames."""
    return ((frames - 1) // 2 - 1) // 2 + 1


def pad_mels(mels: Sequence[NDArray[np.float16]]) -> Tensor:
    """Clips of shape ``(frames, mel_bins)`` padded to ``(clips, mel_bins, longest)``, float32."""
    longest = max(len(mel) for mel in mels)
    longest += longest % 4
    batch = np.zeros((len(mels), longest, mels[0].shape[1]), dtype=np.float32)
    for row, mel in zip(batch, mels, strict=True):
        row[: len(mel)] = mel
    return torch.from_numpy(batch).transpose(1, 2)


def encode(
    model: Qwen2AudioForConditionalGeneration, mels: Tensor, frames: Tensor
) -> tuple[Tensor, Tensor]:
    """Audio embeddings of the real frames.

    Args:
        model: a ``Qwen2AudioForConditionalGeneration``.
        mels: shape ``(clips, mel_bins, frames + context)``.
        frames: number of real frames of each clip, shape ``(clips,)``.

    Returns:
        Projected audio embeddings, shape ``(clips, tokens, width)``, and which of them are real,
        bool, shape ``(clips, tokens)``.
    """
    tower = model.model.audio_tower
    hidden = functional.gelu(tower.conv2(functional.gelu(tower.conv1(mels)))).transpose(1, 2)
    halves = (frames - 1) // 2 + 1
    width = min(int(halves.max()) + int(halves.max()) % 2, hidden.shape[1])
    hidden = hidden[:, :width] + tower.embed_positions.weight[:width]
    mask = (torch.arange(width) < halves[:, None])[:, None, None, :].expand(-1, 1, width, -1)
    for layer in tower.layers:
        hidden = layer(hidden, mask)
    hidden = tower.layer_norm(tower.avg_pooler(hidden.transpose(1, 2)).transpose(1, 2))
    embeddings = model.model.multi_modal_projector(hidden)
    real = torch.arange(embeddings.shape[1]) < ((halves - 2) // 2 + 1)[:, None]
    return embeddings, real


class ListeningHead(torch.nn.Module):
    """Emotion logits from pooled audio embeddings; used in training, not part of the checkpoint.

    Args:
        width: of the audio embeddings.
        emotions: number of classes.
    """

    def __init__(self, width: int, emotions: int) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(2 * width)
        self.linear = torch.nn.Linear(2 * width, emotions)

    def forward(self, embeddings: Tensor, real: Tensor) -> Tensor:
        """Logits, shape ``(clips, emotions)``, from the mean and the spread over the tokens."""
        weight = real[..., None].to(embeddings.dtype)
        count = weight.sum(1)
        mean = (embeddings * weight).sum(1) / count
        variance = ((embeddings - mean[:, None]) ** 2 * weight).sum(1) / count
        pooled = torch.cat([mean, (variance + 1e-6).sqrt()], -1)
        logits: Tensor = self.linear(self.norm(pooled))
        return logits


@dataclass(frozen=True, slots=True)
class Branch:
    """One question and its answer about the clip of row ``row``, as token ids."""

    row: int
    question_ids: list[int]
    answer_ids: list[int]


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch of clips with all their questions, right-padded.

    Attributes:
        token_ids: shape ``(clips, length)``.
        positions: position of each token within prefix + own branch, shape ``(clips, length)``.
        mask: which token (third axis) sees which (fourth axis), bool, shape
            ``(clips, 1, length, length)``.
        audio_at: column of the first audio token: the prefix is the same in every row.
        answer_rows: row of every position that predicts an answer token, shape ``(answers,)``.
        answer_columns: its column.
        targets: the token to predict there.
        branch_of: index of the branch it belongs to.
    """

    token_ids: Tensor
    positions: Tensor
    mask: Tensor
    audio_at: int
    answer_rows: Tensor
    answer_columns: Tensor
    targets: Tensor
    branch_of: Tensor


def pack(
    audio_tokens: Sequence[int],
    branches: Sequence[Branch],
    *,
    prefix: Sequence[int],
    audio_id: int,
    after_audio: Sequence[int],
) -> Packed:
    """Batch with one row per clip: prefix, audio, then its branches one after the other."""
    rows = len(audio_tokens)
    ids = [[*prefix, *[audio_id] * n, *after_audio] for n in audio_tokens]
    owner = [[-1] * len(row) for row in ids]
    positions = [list(range(len(row))) for row in ids]
    shared = [len(row) for row in ids]
    answers: list[tuple[int, int, int, int]] = []
    for number, branch in enumerate(branches):
        row = branch.row
        own = [*branch.question_ids, *branch.answer_ids]
        start = len(ids[row]) + len(branch.question_ids) - 1
        answers += [(row, start + k, t, number) for k, t in enumerate(branch.answer_ids)]
        # The last answer token predicts nothing and need not be computed.
        ids[row] += own[:-1]
        owner[row] += [number] * (len(own) - 1)
        positions[row] += range(shared[row], shared[row] + len(own) - 1)
    length = max(len(row) for row in ids)
    table = np.zeros((3, rows, length), dtype=np.int64)
    table[1] = -2
    for row in range(rows):
        size = len(ids[row])
        table[:, row, :size] = ids[row], owner[row], positions[row]
    token_ids, owners, position_table = (torch.from_numpy(layer) for layer in table)
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    related = (owners[:, None, :] == owners[:, :, None]) | (owners[:, None, :] == -1)
    answer_table = torch.tensor(answers, dtype=torch.int64).T
    return Packed(
        token_ids, position_table, (related & causal)[:, None], len(prefix), *answer_table
    )


def answer_logits(
    model: Qwen2AudioForConditionalGeneration, packed: Packed, embeddings: Tensor, real: Tensor
) -> Tensor:
    """Raw logits wherever an answer token is predicted, shape ``(answers, vocabulary)``."""
    language = model.model.language_model
    hidden = language.embed_tokens(packed.token_ids)
    is_audio = torch.zeros(packed.token_ids.shape, dtype=torch.bool)
    is_audio[:, packed.audio_at : packed.audio_at + real.shape[1]] = real
    hidden = hidden.masked_scatter(is_audio[..., None], embeddings[real].to(hidden.dtype))
    output = language(
        inputs_embeds=hidden,
        position_ids=packed.positions,
        attention_mask={"full_attention": packed.mask},
        use_cache=False,
    ).last_hidden_state
    logits: Tensor = model.lm_head(output[packed.answer_rows, packed.answer_columns])
    return logits


def frames_of(mels: Sequence[NDArray[np.float16]]) -> Tensor:
    """Real frames of each clip, shape ``(clips,)``."""
    return torch.tensor([len(mel) - RIGHT_CONTEXT for mel in mels])
