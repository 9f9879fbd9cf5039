"""Training files: several corpora and their rationales as lines that a fine-tuning reads."""
