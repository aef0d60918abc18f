"""The proof from the topics that every alert has exactly one result."""
