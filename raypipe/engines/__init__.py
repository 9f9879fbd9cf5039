"""Back ends that take clips and answer, each imported only when it is asked for.

:mod:`raypipe.engines.engine` says what an engine is, :mod:`raypipe.engines.plugins` finds one by
its name, :mod:`raypipe.engines.families` holds the models that the engines of this room decode.
"""
