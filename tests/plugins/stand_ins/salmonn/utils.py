"""Stand-in for ``utils.py`` of bytedance/SALMONN."""

import soundfile
import torch


def prepare_one_sample(wav_path, wav_processor, cuda_enabled=True):
    assert not cuda_enabled
    audio, rate = soundfile.read(wav_path)
    features = wav_processor(audio, sampling_rate=rate, return_tensors="pt")["input_features"]
    return {
        "spectrogram": features,
        "raw_wav": torch.from_numpy(audio)[None],
        "padding_mask": torch.zeros(1, len(audio), dtype=torch.bool),
    }
