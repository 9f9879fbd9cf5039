"""Pages on which one looks into a run, served on the loopback interface."""
