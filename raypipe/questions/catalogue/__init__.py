"""One question per file; each file brings a ``QUESTION``."""
