"""What a person reads after a run: one HTML page and one table in the terminal."""
