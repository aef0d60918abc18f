"""Classify stored light curves with any model, next to the results that are there."""
