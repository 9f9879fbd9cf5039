"""Listening sheets: what human raters are shown, and what their answers come to."""
