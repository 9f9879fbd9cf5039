"""The vLLM back end: the transformers engine's hypotheses by vLLM's paged cache and kernels.

Only :mod:`~raypipe.engines.vllm.core` and :mod:`~raypipe.engines.vllm.tap` import vLLM, and
:mod:`~raypipe.engines.vllm.checkpoint` for a config that is vLLM's alone, when an engine is made:
everything else works without it.
"""
