"""The page and the terminal table about a run."""
