"""Stand-in for the pipeline that comes as code with Ultravox's checkpoints."""

import inspect

import transformers

REAL = transformers.pipeline


class UltravoxPipeline:
    def __call__(self, inputs, **kwargs):
        from stand_in_answers import answer_about, level

        assert set(kwargs) <= {"temperature", "max_new_tokens", "repetition_penalty"}
        assert set(inputs) <= {"turns", "audio", "prompt", "sampling_rate"}
        assert (kwargs["repetition_penalty"], inputs["sampling_rate"]) == (1.1, 16_000)
        assert inputs["prompt"].count("<|audio|>") == 1
        return f" {answer_about(level(inputs['audio']))}"


def pipeline(**kwargs):
    assert set(kwargs) <= set(inspect.signature(REAL).parameters)
    assert kwargs["trust_remote_code"]
    return UltravoxPipeline()
