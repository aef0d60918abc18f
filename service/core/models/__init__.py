"""Model bundles, their calibration, and the registry of models."""
