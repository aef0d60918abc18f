"""Many small alerts of many objects, quickly made: what a fault does to them matters, not what they are."""

from collections.abc import Iterator
from functools import cache

import numpy as np

from service.core.alerts import Kind, Survey
from training.simulation.light_curves import SimulatedLightCurves
from training.simulation.packets import make_packets

__all__ = ["crowd", "crowd_light_curves", "multitude"]

START_MJD_TAI = 61_000.0
# Shorter than the history in LSST's packets, so that an object's last packet brings its whole light curve.
FORCED_DAYS = 25.0
# From the names of one copy to those of the next: more than all names of a crowd span, and so little that
# four hundred copies still have names of nine bytes.
NAME_STEP = 10**16


@cache
def crowd(n_objects: int, n_alerts: int = 8, *, survey: Survey = Survey.LSST) -> tuple[bytes, ...]:
    """Make packets in order of time; a few more come of asteroids and artefacts.

    Parameters
    ----------
    n_objects
        Objects that change.
    n_alerts
        Detections of each, within `FORCED_DAYS`, with a forced measurement after each.
    survey
        In whose format: ZTF's are Avro containers of some 13 kB, LSST's are bare records of a few kB.
    """
    light_curves = crowd_light_curves(n_objects, n_alerts)
    return tuple(packet.value for packet in make_packets([(survey, light_curves)], seed=n_objects))


def crowd_light_curves(n_objects: int, n_alerts: int) -> SimulatedLightCurves:
    """Make the light curves of those objects."""
    generator = np.random.default_rng([n_objects, n_alerts])
    n_rows = 2 * n_alerts
    # Sorted within each object; no two within the 2 s that make one visit.
    steps = generator.uniform(0.1, 2 * FORCED_DAYS / n_rows - 0.1, (n_objects, n_rows))
    times = START_MJD_TAI + generator.uniform(0, 10, (n_objects, 1)) + np.cumsum(steps, axis=1)
    kinds = np.tile([Kind.DETECTION, Kind.FORCED], (n_objects, n_alerts))
    bands = generator.integers(1, 3, times.shape)
    return SimulatedLightCurves(
        object_id=tuple(map(str, range(n_objects))),
        class_name=("Ia",) * n_objects,
        template=("",) * n_objects,
        redshift=generator.uniform(0.01, 0.2, n_objects).astype(np.float32),
        mwebv=generator.uniform(0.0, 0.2, n_objects).astype(np.float32),
        ra_deg=generator.uniform(0, 360, n_objects),
        dec_deg=generator.uniform(-60, 5, n_objects),
        trigger_mjd_tai=times[:, 0],
        offsets=np.arange(n_objects + 1, dtype=np.int64) * n_rows,
        mjd_tai=times.ravel(),
        band=bands.ravel().astype(np.uint8),
        kind=kinds.ravel().astype(np.uint8),
        flux_njy=generator.uniform(2e4, 2e5, times.size).astype(np.float32),
        flux_err_njy=generator.uniform(500, 2000, times.size).astype(np.float32),
    )


def multitude(n_objects: int, n_alerts: int, copies: int) -> Iterator[bytes]:
    """Give LSST's packets of a crowd and of copies of it under other names, in order of time.

    A crowd's packet is written once and each copy gets its name patched in, so that half a million take
    seconds, and the memory of the crowd.

    Parameters
    ----------
    n_objects, n_alerts
        As for `crowd`; without asteroids and artefacts.
    copies
        How often each object is there.
    """
    light_curves = crowd_light_curves(n_objects, n_alerts)
    made = make_packets([(Survey.LSST, light_curves)], seed=n_objects, cutouts="small", extras=False)
    for packet in list(made):
        name = int(packet.object_id)
        written = _avro_long(name)
        for copy in range(copies):
            yield packet.value.replace(written, _avro_long(name + copy * NAME_STEP))


def _avro_long(value: int) -> bytes:
    """Write a positive number as Avro does: seven bits a byte, the smallest first, twice its value."""
    value *= 2
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
