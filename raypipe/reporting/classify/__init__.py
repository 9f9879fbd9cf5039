"""The page of a classify job."""
