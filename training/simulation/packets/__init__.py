"""Simulated light curves as alert packets in the surveys' own formats."""

from training.simulation.packets.stream import CUTOUTS, Packet, make_packets, shifted, write_packets

__all__ = ["CUTOUTS", "Packet", "make_packets", "shifted", "write_packets"]
