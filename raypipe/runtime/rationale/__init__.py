"""Rationales: a teacher that hears a clip and knows its label explains the label."""
