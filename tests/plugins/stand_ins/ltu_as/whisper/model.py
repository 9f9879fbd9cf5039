"""Stand-in for LTU-AS's own ``whisper/model.py``."""

from dataclasses import dataclass


@dataclass
class ModelDimensions:
    n_mels: int


class Whisper:
    def __init__(self, dims):
        assert dims == ModelDimensions(80)

    def load_state_dict(self, state_dict, strict=True):
        assert not strict

    def to(self, device):
        assert device == "cpu"

    def transcribe_audio(self, audio):
        import soundfile
        import torch
        from stand_in_answers import level

        samples, _ = soundfile.read(audio)
        return None, torch.full((1, 40, 2, 3), level(samples))  # clips, frames, width, layers
