"""Alerts to measure with: as large as the surveys' own, as many as are wanted."""

from collections.abc import Iterator
from itertools import islice

from service.core.alerts import Survey
from tests.support.crowd import crowd_light_curves
from training.simulation.packets import make_packets

__all__ = ["N_ALERTS", "packets"]

N_ALERTS = 12
"""Alerts of each object, with as many forced measurements in between: some twelve rows in a packet, as the
median of the survey's real packets with a history has."""


def packets(survey: Survey, count: int, *, cutouts: str = "full") -> Iterator[bytes]:
    """Give packets in order of time, of objects that come back `N_ALERTS` times.

    Parameters
    ----------
    survey
        With full cutouts ZTF's packets have 70 kB and LSST's 116 kB, as the surveys' own.
    count
        How many.
    cutouts
        A key of `training.simulation.packets.CUTOUTS`.
    """
    light_curves = crowd_light_curves(-(-count // N_ALERTS), N_ALERTS)
    made = make_packets([(survey, light_curves)], seed=count, cutouts=cutouts)
    return (packet.value for packet in islice(made, count))
