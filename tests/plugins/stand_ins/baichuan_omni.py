"""Stand-ins for the classes that come as code with Baichuan-Omni-1.5's checkpoint."""

import json
import re
from types import SimpleNamespace

import soundfile
import torch

TOKENS = {1: "<audio_start_baichuan>", 2: "<audio_end_baichuan>"}


class Tokenizer:
    """Every character is a token."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *, trust_remote_code, model_max_length):
        assert trust_remote_code
        return cls()

    def convert_ids_to_tokens(self, ids):
        return TOKENS[ids]

    def decode(self, token_ids, skip_special_tokens):
        text = "".join(chr(token) for token in token_ids)
        return text.replace("<|endoftext|>", "") if skip_special_tokens else text


class OmniForCausalLM:
    config = SimpleNamespace(
        audio_config=SimpleNamespace(audio_start_token_id=1, audio_end_token_id=2)
    )

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path, *, device_map, trust_remote_code, dtype
    ):
        assert trust_remote_code
        assert (device_map, dtype) == ("cpu", torch.bfloat16)
        return cls()

    def eval(self):
        return self

    def bind_processor(self, tokenizer, training, relative_path=None):
        assert not training
        self.processor = self._process

    def _process(self, example):
        (text,) = example
        begin, end = TOKENS.values()
        (clip,) = re.findall(f"{begin}(.*?){end}", text)
        assert text.startswith(f"<C_Q>{begin}")
        assert text.endswith("<C_A>")
        samples, _ = soundfile.read(json.loads(clip)["path"], dtype="float32")
        tokens = torch.tensor([[ord(letter) for letter in text]])
        audios = None if samples.max() > 0.9 else torch.from_numpy(samples)[None]
        length = torch.tensor([len(samples)])
        return SimpleNamespace(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            audios=audios,
            encoder_length=length,
            bridge_length=length,
        )

    def generate(
        self,
        input_ids,
        *,
        attention_mask,
        audios,
        encoder_length,
        bridge_length,
        tokenizer,
        stop_strings,
        max_new_tokens,
        do_sample,
        repetition_penalty,
    ):
        from stand_in_answers import answer_about, level

        assert (do_sample, repetition_penalty) == (False, 1.1)
        assert stop_strings == ["<|endoftext|>"]
        answer = f"{answer_about(level(audios))}<|endoftext|>"
        return torch.cat([input_ids, torch.tensor([[ord(letter) for letter in answer]])], dim=1)
