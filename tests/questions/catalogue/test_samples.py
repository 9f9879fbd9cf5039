import pytest
from made_up_hypotheses import heard

from raypipe.config import parse_config
from raypipe.errors import ConfigError
from raypipe.labels import LABEL_SETS
from raypipe.questions import plan_passes
from raypipe.records import Sampling

ANSWERS = [
    heard("sample", share, rank=rank, sampled=True) for rank, share in enumerate((0.8, 0.4, 0.6))
]
MINIMAL = {"input": {"shards": "in"}, "output": "out", "strategies": ["sample_mean"]}


def test_it_is_asked_as_the_config_says_it() -> None:
    samples = {"count": 3, "temperature": 0.7, "top_p": 0.9, "seed": 5}
    config = parse_config(
        {**MINIMAL, "decoding": {"samples": samples, "greedy": False, "beam_count": 0}}
    )
    (asking,) = plan_passes(config.outline(LABEL_SETS["crema-d-6"]), config.asked)
    assert asking.request == Sampling(3, 96, 0.7, 0.9, 5)
    assert asking.kind == "sample"


@pytest.mark.parametrize(
    ("decoding", "words"),
    [
        ({}, "strategies sample_mean need decoding.samples"),
        ({"samples": {"count": 0}}, "count"),
        ({"samples": {"count": 2, "top_p": 0.0}}, "top_p"),
        ({"samples": {"count": 2, "temperature": 0.0}}, "temperature"),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_the_door(
    decoding: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_config({**MINIMAL, "decoding": decoding})
