"""The stored state of one object, and what is derived from it."""
