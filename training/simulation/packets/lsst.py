"""LSST packets, schema 10.0: byte 0, the schema's id, the bare body."""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any, Self

import fastavro
import numpy as np

from service.core.alerts import BAND_NAMES, Band, Kind, Survey
from service.decoding.shipped import shipped_schema
from training.simulation.light_curves import SimulatedLightCurves
from training.simulation.packets.avro_records import blank_records

__all__ = ["SCHEMA_ID", "VERSION", "LsstObject"]

VERSION = "10.0"
SCHEMA_ID = 1000
HISTORY_DAYS = 365.0
FORCED_DAYS = 30.0
_MINUTE_DAYS = 1 / 1440
_FIRST_MJD = 60_000.0


@cache
def _format() -> tuple[Any, dict[str, dict[str, Any]]]:
    """Give the parsed schema and blank records."""
    schema = shipped_schema("lsst", VERSION)
    return fastavro.parse_schema(schema), blank_records(schema, null_where_allowed=False)


@dataclass(frozen=True)
class LsstObject:
    """One object of LSST, with its rows ready to be put into packets.

    Attributes
    ----------
    object_id
        The decimal diaObjectId: the id of its first source; of an asteroid, the ssObjectId.
    sources
        ``diaSource`` records by time.
    forced
        ``diaForcedSource`` records by time, those of visits with a detection included.
    dia_object
        The record without its changing fields; None for an asteroid.
    ss_source
        Of an asteroid, else None.
    cutouts
        Random bytes of science, template and difference; empty for none.
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
        """Take an object of a simulated sample."""
        ra, dec = float(light_curves.ra_deg[index]), float(light_curves.dec_deg[index])
        rows = range(light_curves.offsets[index], light_curves.offsets[index + 1])
        measured = [
            (
                float(light_curves.mjd_tai[row]),
                int(light_curves.band[row]),
                float(light_curves.flux_njy[row]),
                float(light_curves.flux_err_njy[row]),
                int(light_curves.kind[row]),
            )
            for row in rows
        ]
        detector = int(rng.integers(0, 189))
        sources = [_source(row[:4], (ra, dec), detector, rng) for row in measured if row[4] == Kind.DETECTION]
        name = sources[0]["diaSourceId"]
        for source in sources:
            source["diaObjectId"] = name
        first = sources[0]["midpointMjdTai"]
        forced = [_forced(row[:4], (ra, dec), name, detector, rng) for row in measured if row[0] >= first]
        _, blank = _format()
        dia_object = blank["diaObject"] | {"diaObjectId": name, "ra": ra, "dec": dec}
        return cls(str(name), sources, forced, dia_object, None, [rng.bytes(size) for size in cutout_bytes])

    @classmethod
    def asteroid(
        cls, number: int, span_mjd: tuple[float, float], rng: np.random.Generator, cutout_bytes: Sequence[int]
    ) -> Self:
        """Make an asteroid: one source, no object, no history."""
        row = (rng.uniform(*span_mjd), int(rng.integers(1, 5)), 10 ** rng.uniform(3.2, 4.5), 150.0)
        position = float(rng.uniform(0, 360)), float(rng.uniform(-30, 5))
        name = 20_000_000_000_000_000 + number
        source = _source(row, position, int(rng.integers(0, 189)), rng)
        source |= {"diaObjectId": 0, "ssObjectId": name}
        _, blank = _format()
        ss_source = blank["ssSource"] | {"diaSourceId": source["diaSourceId"], "ssObjectId": name}
        stamps = [rng.bytes(size) for size in cutout_bytes]
        return cls(f"ss{name}", [source], [], None, ss_source, stamps)

    @classmethod
    def spurious(
        cls,
        number: int,  # noqa: ARG003  asteroids are numbered, artefacts are not
        span_mjd: tuple[float, float],
        rng: np.random.Generator,
        cutout_bytes: Sequence[int],
    ) -> Self:
        """Make a single source that the survey's classifier takes for an artefact."""
        row = (rng.uniform(*span_mjd), int(rng.integers(1, 5)), 10 ** rng.uniform(3.0, 3.5), 150.0)
        position = float(rng.uniform(0, 360)), float(rng.uniform(-60, 5))
        source = _source(row, position, int(rng.integers(0, 189)), rng)
        name = source["diaSourceId"]
        source |= {"diaObjectId": name, "reliability": float(rng.uniform(0.0, 0.1))}
        _, blank = _format()
        dia_object = blank["diaObject"] | {"diaObjectId": name, "ra": position[0], "dec": position[1]}
        return cls(str(name), [source], [], dia_object, None, [rng.bytes(size) for size in cutout_bytes])

    def encode(self, alert: int) -> bytes:
        """Write the packet of one alert."""
        schema, blank = _format()
        trigger = self.sources[alert]
        mjd = trigger["midpointMjdTai"]
        record = blank["alert"] | {"diaSourceId": trigger["diaSourceId"], "diaSource": trigger}
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
        names = ("cutoutScience", "cutoutTemplate", "cutoutDifference")
        record |= dict(zip(names, self.cutouts, strict=False))
        stream = io.BytesIO(struct.pack(">bI", 0, SCHEMA_ID))
        stream.seek(0, io.SEEK_END)
        fastavro.schemaless_writer(stream, schema, record)
        return stream.getvalue()


_Measured = tuple[float, int, float, float]


def _exposure(measured: _Measured, detector: int) -> dict[str, Any]:
    """Give what a source and a forced source of one exposure share."""
    mjd, band, flux, error = measured
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
    """Give YYYYMMDD of a day."""
    return int((date(1858, 11, 17) + timedelta(days=mjd)).strftime("%Y%m%d"))


def _source(
    measured: _Measured, position_deg: tuple[float, float], detector: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Give a ``diaSource``."""
    _, blank = _format()
    mjd, _, flux, error = measured
    scatter = rng.normal(0, 0.05, 2) / 3600
    return (
        blank["diaSource"]
        | _exposure(measured, detector)
        | {
            # Ascending in time; the last digits tell sources of one exposure apart.
            "diaSourceId": 170_000_000_000_000_000
            + int((mjd - _FIRST_MJD) * 86_400) * 100_000_000
            + int(rng.integers(0, 100_000_000)),
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
    )


def _forced(
    measured: _Measured, position_deg: tuple[float, float], name: int, detector: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Give a ``diaForcedSource``; where there is a detection it repeats that, not quite exactly."""
    _, blank = _format()
    mjd, band, flux, error = measured
    again = (mjd, band, flux + 0.1 * error * rng.standard_normal(), error)
    return (
        blank["diaForcedSource"]
        | _exposure(again, detector)
        | {
            "diaForcedSourceId": 170_000_000_000_000_000
            + int((mjd - _FIRST_MJD) * 86_400) * 100_000_000
            + int(rng.integers(0, 100_000_000)),
            "diaObjectId": name,
            "ra": position_deg[0],
            "dec": position_deg[1],
            "scienceFlux": flux,
            "scienceFluxErr": error,
        }
    )
