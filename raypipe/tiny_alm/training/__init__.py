"""Training and evaluation of the bundled model: run from a source checkout, not in the wheel."""
