"""Finding what other packages offer: by their metadata, without importing them."""

from __future__ import annotations

import importlib
import sys

import pytest

from raypipe.config.model import ENGINE_SECTIONS, ModelConfig
from raypipe.engines import plugins
from raypipe.errors import ConfigError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes a package as an installer leaves it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name, engine, code):
        (tmp_path / f"{name}.py").write_text(code)
        metadata = tmp_path / f"{name}-2.1.dist-info"
        metadata.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.1\nSummary: hears [bold] things\n"
        (metadata / "METADATA").write_text(text)
        (metadata / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{engine} = {name}:PLUGIN\n")
        importlib.invalidate_caches()

    return write


def test_listing_imports_nothing(package):
    package("odd_engine", "odd", "raise OSError('libodd.so is missing')")
    found = plugins.find_plugin("odd")
    assert (found.package, found.version, found.summary) == (
        "odd_engine",
        "2.1",
        "hears [bold] things",
    )
    assert "odd_engine" not in sys.modules
    assert plugins.find_plugin("even") is None


def test_a_package_that_cannot_be_imported_is_named_with_the_reason(package):
    package("odd_engine", "odd", "raise OSError('libodd.so is missing')")
    with pytest.raises(ConfigError, match=r"package odd_engine 2\.1 .*OSError: libodd\.so"):
        plugins.load_plugin("odd")


def test_what_is_not_a_plug_in_is_refused(package):
    package("odd_thing", "odd", "PLUGIN = 3")
    with pytest.raises(ConfigError, match=r"odd_thing:PLUGIN is a int, not an EnginePlugin"):
        plugins.load_plugin("odd")


def test_two_packages_with_one_engine_are_refused_only_when_it_is_asked_for(package):
    package("odd_one", "odd", "PLUGIN = 1")
    package("odd_two", "odd", "PLUGIN = 2")
    offered = [one.package for one in plugins.installed_plugins() if one.engine == "odd"]
    assert offered == ["odd_one", "odd_two"]
    with pytest.raises(ConfigError, match="several packages: odd_one, odd_two"):
        plugins.load_plugin("odd")
    with pytest.raises(ConfigError, match="unknown engine 'even'"):
        plugins.load_plugin("even")


def test_a_package_does_not_take_the_place_of_an_engine_of_raypipe_s_own(package):
    package("odd_engine", "vllm", "PLUGIN = 1")
    with pytest.raises(ConfigError, match=r"'vllm' is raypipe's own, and offered by .*odd_engine"):
        plugins.load_plugin("vllm")


def test_the_config_knows_which_engines_are_built_in():
    assert tuple(plugins.BUILT_IN) == tuple(ENGINE_SECTIONS)


@pytest.mark.parametrize("name", plugins.BUILT_IN)
def test_the_options_of_a_built_in_engine_are_its_section_of_the_config(name):
    section = ENGINE_SECTIONS[name]
    options = plugins.load_plugin(name).options
    if section is None:
        assert options is plugins.PluginOptions
    else:
        annotation = ModelConfig.model_fields[section].annotation
        assert options in (annotation, *getattr(annotation, "__args__", ()))
