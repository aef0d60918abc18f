"""Readers of labelled light curves: every format becomes one columnar record."""

from training.datasets.record import LightCurves, concatenate

__all__ = ["LightCurves", "concatenate"]
