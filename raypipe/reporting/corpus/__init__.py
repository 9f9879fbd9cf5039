"""Figures, tables and the page about a corpus of shards."""
