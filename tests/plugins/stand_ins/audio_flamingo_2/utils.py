"""Stand-in for ``inference_HF_pretrained/utils.py`` of NVIDIA/audio-flamingo."""


def get_cast_dtype(precision):
    assert precision == "amp_bf16"
