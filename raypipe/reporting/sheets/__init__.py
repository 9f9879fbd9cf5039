"""Pages about listening sheets."""
