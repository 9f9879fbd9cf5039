"""Relabelling: what annotators wrote changes the label distributions."""
