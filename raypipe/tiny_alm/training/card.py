"""Model card of the bundled model, filled with measured figures only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

_CARD = """---
license: apache-2.0
library_name: transformers
tags: [audio, speech-emotion-recognition, qwen2_audio]
---

# tiny-alm

A Qwen2-Audio with {parameters:.1f} million parameters that listens to a voice and answers raypipe's
built-in prompts. It exists so that raypipe runs end to end on a laptop, offline, and so that a test
can tell whether the audio reaches the model. **It is not an emotion recogniser for real speech.**

Files: float16 safetensors in the hub's Qwen2-Audio layout, a byte-level BPE
tokenizer of 1,000 tokens, a Whisper log-mel processor with a 30 s window. Load it in float32.
Decoding is greedy, without penalties.

## Training

- Data: {clips:,} synthetic clips of 400 voices (`raypipe.tiny_alm.corpus`), among them one in 40
  without any voice, answered with the prior{real}. No recording is part of this package.
- {listening_steps:,} updates of the listening part alone, {answering_steps:,} of the whole model on
  three questions per clip, {polishing_steps:,} to polish; seed {seed}; {steps_done:,} updates in
  {hours:.2f} h on {threads} shared CPU threads (torch {torch}).
- Answers state half what listeners would say (expected vote shares) and half what the model's own
  listening head made of the clip: it is taught to say what can be heard.
- An answer never gives all listeners to one emotion: 0.9 is the most it states.
{history}- Token-level evidence is trained, not emergent: at every answer position the raw
  logits of the emotion words (averaged over the surface forms of a label) are pulled towards the
  distribution asked for, as softmax and as plain shares, kept positive, and the log-sum-exp of all
  logits is held near 20. In a large model none of this is guaranteed.
- Command: `python -m raypipe.tiny_alm.training.train --out DIR{emodb_option} --seed {seed}
  --clips {clips} --listening-steps {listening_steps} --answering-steps {answering_steps}
  --polishing-steps {polishing_steps}`

## Figures

Held-out synthetic speakers, {count} clips (seed {test_seed}), ten votes each; plain greedy
`generate()` in float32. JS: Jensen-Shannon divergence to the votes, base 2, mean (lower is better);
prior: the mean soft label as a constant answer. Written by
`python -m raypipe.tiny_alm.training.evaluate`, from a source checkout, as is the command above.

{table}

- Verifier: {candidates} candidates, {verify_unparsable} unparsable; its number and the fit to the
  votes (1 - JS distance) correlate with {pearson:.2f} (Pearson), {spearman:.2f} (Spearman); mean
  absolute error {error:.2f}.
- Silence: with the sound of the same clips removed the JS to the votes is {silent_js:.3f} (prior
  {prior_js:.3f}), so what it knows comes from the sound. JS between the prior and its answers to
  clips of silence, noise and hum: {to_prior:.3f}.
{emodb}
## Limits

- The voices are synthetic, wordless and acted; the emotions are what a short table says they do to
  a voice, not what people do. It knows six emotions (and boredom from a little German acted
  speech); other labels get a share near 0.
- It learned clips of at most 8 s: `max_audio_duration_s` in its config says so, and raypipe turns
  longer ones into error rows. The encoder takes 30 s because vLLM's Qwen2-Audio takes nothing else.
- It understands no words, and it learned raypipe's own prompts: a rephrased one may get nonsense.
- The verifier's number follows the fit only loosely, as the correlation above says.
- The listening notes of `distribution+cot` name pitch, melody, tempo, pauses and strength of the
  synthesiser's score; their rest is a fixed form.
"""


Figures = dict[str, float]
"""Numbers by what they are."""


class Evaluated(TypedDict):
    """What ``evaluation.json`` holds.

    Attributes:
        seed: of the held-out clips.
        prompts: figures of every prompt that asks for the emotion, and of the token-level readings.
        variations: figures of other ways to ask.
        verify: figures of the verifier.
        silence: figures of silent clips.
        emodb: figures of Emo-DB's speakers, where its files were there.
        training: what ``training.json`` says, where the training folder was there.
    """

    seed: int
    prompts: dict[str, Figures]
    variations: dict[str, Figures]
    verify: Figures
    silence: Figures
    emodb: NotRequired[dict[str, Figures]]
    training: NotRequired[Mapping[str, Any]]


def model_card(result: Evaluated) -> str:
    """Model card of one evaluated checkpoint, as Markdown.

    Args:
        result: what ``evaluate`` returns, with ``training`` from the training folder.
    """
    facts, verify, silence = result["training"], result["verify"], result["silence"]
    real = facts["real_clips"]
    return _CARD.format(
        **{
            **facts,
            "parameters": facts["parameters"] / 1e6,
            "history": "".join(f"- {line}\n" for line in facts.get("history", [])),
        },
        real=f"; and {real:,} recordings made from 6 of Emo-DB's speakers" if real else "",
        emodb_option=" --emodb EMODB" if real else "",
        count=silence["clips"],
        test_seed=result["seed"],
        table=_table({**result["prompts"], **result["variations"]}),
        candidates=verify["candidates"],
        verify_unparsable=verify["unparsable"],
        pearson=verify["pearson"],
        spearman=verify["spearman"],
        error=verify["mean_absolute_error"],
        silent_js=silence["js"],
        prior_js=silence["prior_js"],
        to_prior=silence["no_voice_js_to_prior"],
        emodb=_emodb(result.get("emodb")),
    )


def _table(rows: dict[str, Figures]) -> str:
    lines = [
        "| prompt or reading | JS | prior | accuracy | prior | macro-F1 | unparsable | valid |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        valid = row.get("valid_share", 1.0 - row["unparsable"] / row["clips"])
        lines.append(
            f"| {name} | {row['js']:.3f} | {row['prior_js']:.3f} | {row['accuracy']:.3f} | "
            f"{row['prior_accuracy']:.3f} | {row['macro_f1']:.3f} | {row['unparsable']} | "
            f"{valid:.3f} |"
        )
    return "\n".join(lines)


def _emodb(rows: dict[str, Figures] | None) -> str:
    if rows is None:
        return ""
    row = rows["distribution"]
    return (
        f"- Real speech: {row['clips']} clips of two held-out Emo-DB speakers, seven emotions:\n"
        f"  accuracy {row['accuracy']:.3f} (`distribution`), {rows['single']['accuracy']:.3f} "
        f"(`single`);\n  always the most frequent emotion: {row['prior_accuracy']:.3f}.\n"
    )
