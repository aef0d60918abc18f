"""Search criteria and stored filters."""
