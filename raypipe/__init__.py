"""raypipe: emotion distributions from audio language models, for whole speech corpora, on Ray."""

__version__ = "0.2.0.dev0"
