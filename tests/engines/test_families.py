import pytest
import transformers

from raypipe.engines.families import FAMILIES


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_transformers_has_the_named_classes(family):
    assert hasattr(getattr(transformers, family.architecture), "generate")
    assert hasattr(getattr(transformers, family.processor), "apply_chat_template")


def test_an_architecture_stands_in_the_table_once():
    assert len({family.architecture for family in FAMILIES}) == len(FAMILIES)
