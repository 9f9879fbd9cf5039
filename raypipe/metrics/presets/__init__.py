"""How papers score: each paper's own definitions, as one object in one file of ``catalogue/``."""
