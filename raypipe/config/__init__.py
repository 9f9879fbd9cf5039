"""Configs, checked once, before any work starts; see :mod:`raypipe.config.run`."""

from raypipe.config.aggregation import AdaptiveConfig, AggregationConfig, PoolConfig, StrategyName
from raypipe.config.api import ApiConfig
from raypipe.config.base import ConfigSection, checked, read_yaml
from raypipe.config.decoding import AskedGrammar, DecodingConfig, GrammarConfig
from raypipe.config.labels import LabelsConfig, LabelTables
from raypipe.config.model import BUNDLED_MODEL, ModelConfig, VllmConfig
from raypipe.config.run import RunConfig, load_config, parse_config
from raypipe.config.sections import (
    COT_VARIANTS,
    TEXT_PROMPT,
    AudioConfig,
    EnsembleConfig,
    InputConfig,
    MetricsConfig,
    PromptConfig,
    ResourcesConfig,
    StorageConfig,
    VerifierConfig,
)

__all__ = [
    "BUNDLED_MODEL",
    "COT_VARIANTS",
    "TEXT_PROMPT",
    "AdaptiveConfig",
    "AggregationConfig",
    "ApiConfig",
    "AskedGrammar",
    "AudioConfig",
    "ConfigSection",
    "DecodingConfig",
    "EnsembleConfig",
    "GrammarConfig",
    "InputConfig",
    "LabelTables",
    "LabelsConfig",
    "MetricsConfig",
    "ModelConfig",
    "PoolConfig",
    "PromptConfig",
    "ResourcesConfig",
    "RunConfig",
    "StorageConfig",
    "StrategyName",
    "VerifierConfig",
    "VllmConfig",
    "checked",
    "load_config",
    "parse_config",
    "read_yaml",
]
