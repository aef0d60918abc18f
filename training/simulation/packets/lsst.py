"""LSST packets, schema 10.0, in Confluent framing: byte 0, the id of the schema, the Avro body."""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Self

import fastavro
import numpy as np

from service.core.alerts import BAND_NAMES, Band, Kind, Survey
from training.simulation.light_curves import SimulatedLightCurves
from training.simulation.packets.avro import packet_format
from training.simulation.packets.object_photometry import CUTOUT_NAMES, ObjectPhotometry, random_stamps

__all__ = ["SCHEMA_ID", "LsstObject"]

SCHEMA_ID = 1000
HISTORY_DAYS = 365.0
FORCED_DAYS = 30.0
_MINUTE_DAYS = 1 / 1440
_FIRST_MJD = 60_000.0
_N_DETECTORS = 189
_FIRST_ASTEROID = 20_000_000_000_000_000

_Measurement = tuple[float, int, float, float]
"""MJD TAI, band, flux and its error, nJy."""


@dataclass(frozen=True)
class LsstObject:
    """An object of LSST, as the records of its packets.

    Attributes
    ----------
    object_id
        The decimal diaObjectId: the id of its first source; of an asteroid, the ssObjectId.
    sources
        ``diaSource`` records by time.
    forced
        ``diaForcedSource`` records by time, including visits with a detection.
    dia_object
        The record without its changing fields; None for an asteroid.
    ss_source
        Of an asteroid, else None.
    cutouts
        Bytes of science, template and difference stamp; empty: none.
    """

    object_id: str
    sources: Sequence[dict[str, Any]]
    forced: Sequence[dict[str, Any]]
    dia_object: dict[str, Any] | None
    ss_source: dict[str, Any] | None
    cutouts: Sequence[bytes]

    survey = Survey.LSST

    @property
    def alert_mjd_tai(self) -> Sequence[float]:
        """Times of the detections."""
        return [row["midpointMjdTai"] for row in self.sources]

    @classmethod
    def of(
        cls,
        light_curves: SimulatedLightCurves,
        index: int,
        rng: np.random.Generator,
        cutout_bytes: Sequence[int],
    ) -> Self:
        """Return object `index` of a simulated sample; see `PacketObject`."""
        position = float(light_curves.ra_deg[index]), float(light_curves.dec_deg[index])
        photometry = ObjectPhotometry.of(light_curves, index)
        measurements: list[_Measurement] = list(
            zip(
                photometry.mjd_tai.tolist(),
                photometry.band.tolist(),
                photometry.flux_njy.tolist(),
                photometry.flux_err_njy.tolist(),
                strict=True,
            )
        )
        detector = int(rng.integers(0, _N_DETECTORS))
        sources = [
            _source(measurements[row], position, detector, rng)
            for row in np.flatnonzero(photometry.kind == Kind.DETECTION)
        ]
        identity = sources[0]["diaSourceId"]
        for source in sources:
            source["diaObjectId"] = identity
        first = sources[0]["midpointMjdTai"]
        forced = [
            _forced(measurement, position, identity, detector, rng)
            for measurement in measurements
            if measurement[0] >= first
        ]
        dia_object = _dia_object(identity, position)
        return cls(str(identity), sources, forced, dia_object, None, random_stamps(rng, cutout_bytes))

    @classmethod
    def asteroid(
        cls, number: int, span_mjd: tuple[float, float], rng: np.random.Generator, cutout_bytes: Sequence[int]
    ) -> Self:
        """Return an asteroid: one source, no object, no history; see `PacketObject`."""
        row = (rng.uniform(*span_mjd), int(rng.integers(1, 5)), 10 ** rng.uniform(3.2, 4.5), 150.0)
        position = float(rng.uniform(0, 360)), float(rng.uniform(-30, 5))
        identity = _FIRST_ASTEROID + number
        source = _source(row, position, int(rng.integers(0, _N_DETECTORS)), rng)
        source |= {"diaObjectId": 0, "ssObjectId": identity}
        blank = packet_format(Survey.LSST).blank
        ss_source = blank["ssSource"] | {"diaSourceId": source["diaSourceId"], "ssObjectId": identity}
        return cls(f"ss{identity}", [source], [], None, ss_source, random_stamps(rng, cutout_bytes))

    @classmethod
    def spurious(
        cls, span_mjd: tuple[float, float], rng: np.random.Generator, cutout_bytes: Sequence[int]
    ) -> Self:
        """Return a single source to which the survey's classifier gives a low reliability.

        Parameters
        ----------
        span_mjd
            First and last possible time.
        rng
            Source of randomness.
        cutout_bytes
            Sizes of the image stamps.
        """
        row = (rng.uniform(*span_mjd), int(rng.integers(1, 5)), 10 ** rng.uniform(3.0, 3.5), 150.0)
        position = float(rng.uniform(0, 360)), float(rng.uniform(-60, 5))
        source = _source(row, position, int(rng.integers(0, _N_DETECTORS)), rng)
        identity = source["diaSourceId"]
        source |= {"diaObjectId": identity, "reliability": float(rng.uniform(0.0, 0.1))}
        dia_object = _dia_object(identity, position)
        return cls(str(identity), [source], [], dia_object, None, random_stamps(rng, cutout_bytes))

    def encode(self, alert: int) -> bytes:
        """Return the packet of an alert, given the index of its detection.

        Parameters
        ----------
        alert
            Index in `sources`.
        """
        packet = packet_format(Survey.LSST)
        trigger = self.sources[alert]
        mjd = trigger["midpointMjdTai"]
        record = packet.blank["alert"] | {"diaSourceId": trigger["diaSourceId"], "diaSource": trigger}
        if self.dia_object is not None:
            record["diaObject"] = self.dia_object | {
                "validityStartMjdTai": mjd + 2 * _MINUTE_DAYS,
                "nDiaSources": alert + 1,
            }
            record["prvDiaSources"] = [
                row for row in self.sources[:alert] if row["midpointMjdTai"] > mjd - HISTORY_DAYS
            ]
            record["prvDiaForcedSources"] = [
                # A new object has none: forced photometry follows the first detection.
                row
                for row in self.forced
                if alert and mjd - FORCED_DAYS < row["midpointMjdTai"] <= mjd
            ]
        record["ssSource"] = self.ss_source
        record |= dict(zip(CUTOUT_NAMES, self.cutouts, strict=False))
        stream = io.BytesIO(struct.pack(">bI", 0, SCHEMA_ID))
        stream.seek(0, io.SEEK_END)
        fastavro.schemaless_writer(stream, packet.schema, record)
        return stream.getvalue()


def _dia_object(identity: int, position_deg: tuple[float, float]) -> dict[str, Any]:
    """Return a ``diaObject`` without its changing fields."""
    values = {"diaObjectId": identity, "ra": position_deg[0], "dec": position_deg[1]}
    return packet_format(Survey.LSST).blank["diaObject"] | values


def _exposure(measurement: _Measurement, detector: int) -> dict[str, Any]:
    """Return the fields that a source and a forced source of one exposure share."""
    mjd, band, flux, error = measurement
    night = int(np.floor(mjd - 0.5))
    return {
        # The day of observation and a number within it, one every two seconds.
        "visit": _calendar_day(night) * 100_000 + int((mjd - 0.5 - night) * 43_200),
        "detector": detector,
        "midpointMjdTai": mjd,
        "band": BAND_NAMES[Band(band)],
        "psfFlux": flux,
        "psfFluxErr": error,
        "timeProcessedMjdTai": mjd + 1.5 * _MINUTE_DAYS,
    }


def _calendar_day(mjd: int) -> int:
    """Return YYYYMMDD of a day."""
    return int((date(1858, 11, 17) + timedelta(days=mjd)).strftime("%Y%m%d"))


def _source_id(mjd_tai: float, rng: np.random.Generator) -> int:
    """Return an id that ascends in time; its last digits distinguish the sources of an exposure."""
    second = int((mjd_tai - _FIRST_MJD) * 86_400)
    return 170_000_000_000_000_000 + second * 100_000_000 + int(rng.integers(0, 100_000_000))


def _source(
    measurement: _Measurement, position_deg: tuple[float, float], detector: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Return a ``diaSource``."""
    mjd, _, flux, error = measurement
    scatter = rng.normal(0, 0.05, 2) / 3600
    values = {
        "diaSourceId": _source_id(mjd, rng),
        "ra": (position_deg[0] + scatter[0]) % 360,
        "dec": position_deg[1] + scatter[1],
        "raErr": 1e-5,
        "decErr": 1e-5,
        "x": float(rng.uniform(50, 4000)),
        "y": float(rng.uniform(50, 4000)),
        "isNegative": flux < 0,
        "snr": abs(flux) / error,
        "apFlux": flux,
        "apFluxErr": 2 * error,
        "scienceFlux": flux + abs(flux),
        "scienceFluxErr": error,
        "reliability": float(rng.uniform(0.6, 1.0)),
        "extendedness": float(rng.uniform(0.0, 0.3)),
        "psfNdata": 1681,
        "bboxSize": 21,
    }
    return packet_format(Survey.LSST).blank["diaSource"] | _exposure(measurement, detector) | values


def _forced(
    measurement: _Measurement,
    position_deg: tuple[float, float],
    object_id: int,
    detector: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return a ``diaForcedSource``; where there is a detection it repeats that, not quite exactly."""
    mjd, band, flux, error = measurement
    repeated = (mjd, band, flux + 0.1 * error * rng.standard_normal(), error)
    values = {
        "diaForcedSourceId": _source_id(mjd, rng),
        "diaObjectId": object_id,
        "ra": position_deg[0],
        "dec": position_deg[1],
        "scienceFlux": flux,
        "scienceFluxErr": error,
    }
    return packet_format(Survey.LSST).blank["diaForcedSource"] | _exposure(repeated, detector) | values
