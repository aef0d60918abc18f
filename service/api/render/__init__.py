"""Stored values in the form of responses: JSON, tables, summaries."""
