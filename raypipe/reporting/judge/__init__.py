"""Pages about a judge's verdicts."""
