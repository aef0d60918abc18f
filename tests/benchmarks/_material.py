"""Alerts to measure with: as large as the surveys' own, as many as are wanted."""

from collections.abc import Iterator
from itertools import islice

from service.core.alerts import Survey
from tests.decoding.packets import lsst, lsst_bytes, lsst_forced, lsst_object, lsst_source
from tests.support.crowd import crowd_light_curves
from training.simulation.packets import CUTOUTS, make_packets

__all__ = ["N_ALERTS", "large_alert", "packets"]

N_ALERTS = 12
"""Alerts of each object, with as many forced measurements in between: some twelve rows in a packet, as the
median of the survey's real packets with a history has."""

FIRST_SOURCE = 170_000_000_000_000_000


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


def large_alert(number: int, mjd_tai: float) -> bytes:
    """Give a packet of 121 kB of one LSST object: a detection and the forced measurement before it."""
    source = lsst_source(
        diaSourceId=FIRST_SOURCE + number, diaObjectId=number, midpointMjdTai=mjd_tai, psfFlux=11_000.0
    )
    forced = lsst_forced(
        diaForcedSourceId=FIRST_SOURCE - number, midpointMjdTai=mjd_tai - 0.005, psfFlux=10_500.0
    )
    sizes = zip(
        ("cutoutScience", "cutoutTemplate", "cutoutDifference"), CUTOUTS["full"][Survey.LSST], strict=True
    )
    record = lsst(
        source=source,
        diaObject=lsst_object(diaObjectId=number),
        prvDiaForcedSources=[forced],
        **{name: bytes(size) for name, size in sizes},
    )
    return lsst_bytes(record)
