"""Labelled light curves: readers of every format, class names, the uniform form, splits, augmentation."""

from training.data.light_curves import LabelledLightCurves, concatenate

__all__ = ["LabelledLightCurves", "concatenate"]
