"""Labelled light curves: readers of every format, classes, one uniform form, augmentation."""
