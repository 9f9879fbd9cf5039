"""Relabelling: a language model changes label distributions by what annotators wrote."""
