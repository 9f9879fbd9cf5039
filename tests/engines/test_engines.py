import subprocess
import sys

import pytest

from raypipe import engines
from raypipe.errors import ConfigError


def test_looking_at_the_tables_imports_no_back_end():
    code = (
        "import sys, raypipe.engines; "
        "heavy = {'torch', 'transformers', 'vllm', 'openai'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", engines.ENGINES)
def test_every_name_leads_to_both_halves(name):
    assert hasattr(engines.load_engine(name), "generate")
    assert hasattr(engines.load_frontend(name), "prepare")


def test_an_unknown_engine_is_named_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'gpt'.*transformers"):
        engines.load_engine("gpt")
    with pytest.raises(ConfigError, match=r"'gpt'.*transformers"):
        engines.load_frontend("gpt")
