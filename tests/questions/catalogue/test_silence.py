from dataclasses import replace
from typing import Any

import numpy as np
from made_up_hypotheses import answers_to

from raypipe.labels import LabelSet
from raypipe.questions import Asked, PromptOutline, RunOutline, plan_passes, question_named
from raypipe.runtime.infer.models import make_frontend
from raypipe.runtime.infer.preparing import prepare_shard

ANSWERS = [replace(form, kind="silence", alpha=-3.0) for form in answers_to("labels")]


def test_it_asks_what_is_asked_about_the_clip() -> None:
    outline = RunOutline(labels=LabelSet(("anger", "sadness")), greedy=False, beam_count=0)
    heard, silent = plan_passes(outline, Asked(frozenset({"labels", "silence"})))
    assert (heard.silent, silent.silent) == (False, True)
    assert silent.request == heard.request
    assert silent.kind == "silence"
    assert silent.identity() != heard.identity()


def test_a_prompt_without_a_clip_is_refused_by_name() -> None:
    outline = RunOutline(prompts=(PromptOutline("words", text_only=True),))
    assert "prompt words" in (question_named("silence").refusal(outline) or "")


def test_the_clip_s_place_is_silent_and_as_long(in_process: Any) -> None:
    in_process.answered(strategies=["label_contextual"])
    heard: list[Any] = []
    (model_run,) = in_process.plan(strategies=["label_contextual"]).model_runs

    class Listening:
        def __init__(self, frontend: Any) -> None:
            self._frontend = frontend
            self.sampling_rate = frontend.sampling_rate
            self.max_duration_s = frontend.max_duration_s

        def prepare(self, requests: Any) -> Any:
            heard.extend(requests)
            return self._frontend.prepare(requests)

        def with_prompt(self, prepared: Any, prompt: str) -> Any:
            return self._frontend.with_prompt(prepared, prompt)

    frontend = make_frontend(model_run.config.model)
    prepare_shard(model_run.tasks[0], model_run.context, Listening(frontend))
    by_id: dict[str, list[Any]] = {}
    for request in heard:
        by_id.setdefault(request.utterance_id, []).append(request)
    assert by_id
    for sound, silence in by_id.values():
        assert sound.prompt == silence.prompt
        assert np.any(sound.samples)
        assert not np.any(silence.samples)
        assert len(sound.samples) == len(silence.samples)
