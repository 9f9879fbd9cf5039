"""Rationales of a teacher that knows the label: the prompt, the rules, the rounds."""
