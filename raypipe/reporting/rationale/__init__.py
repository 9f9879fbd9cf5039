"""The page about a rationale job."""
