"""Inference of the recurrent network."""
