"""One module per metric, or per family of metrics that share their arithmetic.

Each module names its metrics in ``METRICS``. The modules of this folder are found by
:mod:`raypipe.metrics.registry`; nothing lists them.
"""
