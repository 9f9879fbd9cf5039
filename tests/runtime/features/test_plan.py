"""A plan knows what is done, and refuses an output with other features."""

from __future__ import annotations

import pytest
from in_process import InProcess, utterance

from raypipe.errors import ConfigError, FingerprintError
from raypipe.runtime.features.config import FeaturesConfig
from raypipe.runtime.features.plan import FeaturesPlan, plan_features
from raypipe.runtime.features.work import commit_encoded, decode_shard, encode_shard
from raypipe.ssl import load


def plan(run: InProcess, **changes: object) -> FeaturesPlan:
    document = {
        "input": {"shards": str(run.shards)},
        "output": run.tables.uri,
        "encoders": [{"path": "fbank-raw"}],
        **changes,
    }
    return plan_features(FeaturesConfig.model_validate(document))


def test_what_is_done_is_not_done_again(in_process: InProcess) -> None:
    [run] = plan(in_process).runs
    assert [task.entry.name for task in run.pending] == [task.entry.name for task in run.tasks]
    context = run.context
    encoder = load(context.encoder.source("cpu", with_std=False))
    commit_encoded(encode_shard(decode_shard(run.tasks[0], context), context, encoder), context)
    [again] = plan(in_process).runs
    assert again.done == {run.tasks[0].entry.name}
    assert again.utterances_done == run.tasks[0].take
    assert again.utterances == 6


def test_another_encoder_may_join_and_another_file_of_that_name_may_not(
    in_process: InProcess,
) -> None:
    test_what_is_done_is_not_done_again(in_process)
    both = [{"path": "fbank-raw"}, {"path": "fbank-s3prl"}]
    first, second = plan(in_process, encoders=both).runs
    assert first.done
    assert not second.done
    with pytest.raises(FingerprintError, match="features of another run"):
        plan(in_process, encoders=[{"path": "fbank-s3prl", "name": "fbank-raw"}])


def test_an_unknown_encoder_is_refused_before_any_work(in_process: InProcess) -> None:
    with pytest.raises(ConfigError, match="encoder"):
        plan(in_process, encoders=[{"path": str(in_process.folder)}])


def test_a_family_checks_its_folder_before_any_work(in_process: InProcess) -> None:
    place = in_process.folder / "upstream"
    place.mkdir()
    (place / "config.json").write_text('{"model_type": "s3prl", "upstream": "hubert"}')
    with pytest.raises(ConfigError, match="upstream 'hubert'; known: apc"):
        plan(in_process, encoders=[{"path": str(place)}])


def test_a_limit_leaves_the_rest_out(in_process: InProcess) -> None:
    [run] = plan(in_process, input={"shards": str(in_process.shards), "limit": 4}).runs
    assert run.utterances == 4
    assert utterance("u0").utterance_id == "u0"
