"""The page about a fine-tuning."""
