"""Stand-in for ``inference_HF_pretrained/inference.py`` of NVIDIA/audio-flamingo."""

import soundfile
import torch


def load_audio(audio_path, clap_config):
    samples, rate = soundfile.read(audio_path, dtype="float32")
    width = int(clap_config["window_length"] * rate)
    windows = -(-len(samples) // width)
    padded = torch.zeros(windows * width)
    padded[: len(samples)] = torch.from_numpy(samples)
    return padded.reshape(windows, width), torch.ones(windows)
