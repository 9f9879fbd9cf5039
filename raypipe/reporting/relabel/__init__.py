"""The page about a relabelled corpus."""
