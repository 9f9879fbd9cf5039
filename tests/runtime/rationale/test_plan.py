"""What a rationale job refuses before anything is asked."""

from __future__ import annotations

import pytest
from in_process import InProcess
from rationale_runs import rationale_plan

from raypipe.errors import ConfigError
from raypipe.runtime.rationale.plan import plan_rationale


def test_the_plan_is_of_the_config_s_job(corpus: InProcess) -> None:
    plan = rationale_plan(corpus)
    assert plan_rationale(plan.config).context.fingerprint == plan.context.fingerprint
    assert [plan.asked_in(task) for task in plan.tasks] == [13]


def test_a_job_without_any_utterance_of_its_splits_is_refused(corpus: InProcess) -> None:
    with pytest.raises(ConfigError, match="none of 14 utterances") as refused:
        rationale_plan(corpus, splits=["Train"])
    assert "split test: 1, split train: 13" in str(refused.value)


def test_a_template_that_does_not_say_what_was_broken_is_refused(corpus: InProcess) -> None:
    template = corpus.folder / "own.jinja"
    template.write_text("Explain why this is {{ emotion }}: {{ transcript }}")
    with pytest.raises(ConfigError, match="does not show the rules in `broken`"):
        rationale_plan(corpus, template=str(template))
