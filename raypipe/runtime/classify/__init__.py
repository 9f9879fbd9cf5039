"""The classify job: which emotion every answer of finished runs names."""
