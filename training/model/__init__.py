"""Networks: what they are made of, how they are trained, transferred, calibrated and bundled."""
