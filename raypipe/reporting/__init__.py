"""Pages and terminal tables that a person reads about a run, a corpus or an ingest."""
