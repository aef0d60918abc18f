"""Simulation, training, transfer, evaluation and packaging of the models the service runs."""
