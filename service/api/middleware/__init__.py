"""Limits and metrics around every request."""
