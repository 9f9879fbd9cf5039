"""Kubernetes manifests of a run, from a file of values: what ``raypipe cluster render`` writes."""

from __future__ import annotations

from raypipe.cluster.files import MOUNTED_AT, FileSet, read_files
from raypipe.cluster.manifests import Manifest, render_manifests
from raypipe.cluster.places import PodPlaces
from raypipe.cluster.values import ClusterValues, load_cluster_values

__all__ = [
    "MOUNTED_AT",
    "ClusterValues",
    "FileSet",
    "Manifest",
    "PodPlaces",
    "load_cluster_values",
    "read_files",
    "render_manifests",
]
