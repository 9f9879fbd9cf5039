"""Pairwise preference between two systems' reasons, by a judge that does not know them."""
