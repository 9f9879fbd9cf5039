"""Pairwise preference between two systems' reasons, as a job."""
