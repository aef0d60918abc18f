"""Merging observations into light curves."""
