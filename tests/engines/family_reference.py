"""transformers' generate() for every family, fed by that family's own processor in one call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch
import transformers
from hf_reference import Reference

from raypipe.engines.families.family import Family
from raypipe.engines.processor_loading import load_processor


class FamilyReference(Reference):
    def __init__(self, family: Family, path: Path, recorded_ids: tuple[int, ...], limit: int):
        self.family, self.path = family, path
        if family.processor is None:
            self.processor = transformers.AutoTokenizer.from_pretrained(path)
        else:
            self.processor = load_processor(family, str(path), {})
        kind = getattr(transformers, family.architecture)
        self.model = kind.from_pretrained(path, dtype=torch.float32).eval()
        if family.adapter_folder is not None:
            self.model.load_adapter(str(path / family.adapter_folder))
        if self.model.generation_config.eos_token_id is None:
            tokenizer = getattr(self.processor, "tokenizer", self.processor)
            self.model.generation_config.eos_token_id = tokenizer.eos_token_id
        if family.logits_divisor is not None:
            divisor = getattr(self.model.config.get_text_config(), family.logits_divisor)
            assert divisor > 1
            self.model.get_output_embeddings().weight.data /= divisor
        if family.name in ("Voxtral", "Qwen2-Audio", "Audio Flamingo 3"):
            # generate() copies every window of a clip in its place, and so gives one beam's windows
            # to the next.
            expand = self.model._expand_inputs_for_generation

            def expand_clips(expand_size=1, **inputs):
                names = [name for name in inputs if name.startswith("input_features")]
                clips = {name: inputs.pop(name) for name in names}
                input_ids, inputs = expand(expand_size=expand_size, **inputs)
                for name, windows in clips.items():
                    inputs[name] = torch.cat([windows] * expand_size)
                return input_ids, inputs

            self.model._expand_inputs_for_generation = expand_clips
        self.recorded_ids, self.max_new_tokens = list(recorded_ids), limit
        self.follows = None

    def inputs(self, prompt: str, samples: np.ndarray | None) -> dict[str, torch.Tensor]:
        if self.family.processor is None:
            return self.processor.apply_chat_template(
                [{"role": "user", "content": prompt}],
                add_generation_prompt=True,
                return_dict=True,
                return_tensors="pt",
            )
        if self.family.name == "Voxtral":
            return self._by_file(prompt, samples)
        content = [{"type": "audio"}, {"type": "text", "text": prompt}]
        content = content if samples is not None else content[1:]
        if self.family.clip_place == "after":
            content.reverse()
        if self.family.clip_place == "inline":
            content = self.processor.audio_token * (samples is not None) + prompt
        turn = self.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            chat_template=self.processor.tokenizer.chat_template,
            add_generation_prompt=True,
            tokenize=False,
        )
        if samples is None:
            return self.processor.tokenizer([turn], return_tensors="pt", add_special_tokens=False)
        return self.processor(
            text=[turn],
            audio=[samples],
            sampling_rate=16000,
            add_special_tokens=False,
            return_tensors="pt",
        )

    def _by_file(self, prompt: str, samples: np.ndarray | None) -> dict[str, torch.Tensor]:
        content = [{"type": "text", "text": prompt}]
        if samples is not None:
            clip = self.path / "clip.wav"
            soundfile.write(clip, samples, 16000, subtype="FLOAT")
            content.insert(0, {"type": "audio", "path": str(clip)})
        asked = self.processor.apply_chat_template([{"role": "user", "content": content}])
        if samples is not None:
            # A file that is named is read as 16-bit numbers: the features are made of the samples.
            features = self.processor.feature_extractor(
                np.pad(samples, (0, -len(samples) % 480_000)),
                sampling_rate=16000,
                truncation=False,
                return_tensors="pt",
            )["input_features"]
            asked["input_features"] = torch.cat(features.split(3000, dim=2))
        return asked

    def _generate(self, prompt, samples, **search):
        if self.family.adapter_folder is not None:
            (self.model.disable_adapters if samples is None else self.model.enable_adapters)()
        return super()._generate(prompt, samples, **search)
