"""One strategy per file; each file brings a ``STRATEGY``."""
