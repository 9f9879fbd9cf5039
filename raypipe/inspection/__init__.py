"""What is in a corpus of shards, and which corpora there are: figures, tables, a page."""
