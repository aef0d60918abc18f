"""Scores of trained networks."""
