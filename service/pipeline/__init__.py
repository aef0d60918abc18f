"""One batch from messages to results, and the loop that runs it."""
