"""ZTF packets, schema 4.02: Object Container Files with one record."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import fastavro
import numpy as np

from service.core.alerts import Band, Kind, Survey
from training.simulation.light_curves import SimulatedLightCurves
from training.simulation.packets.avro import VERSION, packet_format
from training.simulation.packets.object_photometry import CUTOUT_NAMES, ObjectPhotometry, random_stamps
from training.simulation.packets.ztf_records import FIRST_NIGHT_JD, detection, exposures, forced, limit_mag

__all__ = ["ZtfObject"]

HISTORY_DAYS = 30.0


@dataclass(frozen=True)
class ZtfObject:
    """An object of ZTF, as the records of its packets.

    Attributes
    ----------
    object_id
        As ZTF names it.
    detections, limits
        ``prv_candidate`` records by time.
    forced
        ``fp_hist`` records by time.
    alert_mjd_tai
        Times of the detections.
    context
        Fields of ``candidate`` that do not change: star-galaxy scores, asteroid's name, deep score.
    cutouts
        Bytes of science, template and difference stamp; empty: none.
    sync_marker
        Of the container, 16 bytes.
    """

    object_id: str
    detections: Sequence[dict[str, Any]]
    limits: Sequence[dict[str, Any]]
    forced: Sequence[dict[str, Any]]
    alert_mjd_tai: Sequence[float]
    context: dict[str, Any]
    cutouts: Sequence[bytes]
    sync_marker: bytes

    survey = Survey.ZTF

    @classmethod
    def of(
        cls,
        light_curves: SimulatedLightCurves,
        index: int,
        rng: np.random.Generator,
        cutout_bytes: Sequence[int],
    ) -> Self:
        """Return object `index` of a simulated sample; see `PacketObject`."""
        star = light_curves.class_name[index] == "Other"
        galaxy = {"sgscore1": float(rng.beta(1, 8)), "distpsnr1": float(rng.exponential(2.5))}
        point = {"sgscore1": float(rng.uniform(0.93, 1.0)), "distpsnr1": float(rng.uniform(0.05, 0.6))}
        return cls._of_rows(
            ObjectPhotometry.of(light_curves, index),
            (float(light_curves.ra_deg[index]), float(light_curves.dec_deg[index])),
            point if star else galaxy,
            rng,
            cutout_bytes,
        )

    @classmethod
    def asteroid(
        cls, number: int, span_mjd: tuple[float, float], rng: np.random.Generator, cutout_bytes: Sequence[int]
    ) -> Self:
        """Return an asteroid: a new object at each detection, with its name; see `PacketObject`."""
        context = {
            "ssnamenr": str(100_000 + number),
            "ssdistnr": float(rng.uniform(0, 1)),
            "ssmagnr": float(rng.uniform(17, 20)),
            "sgscore1": float(rng.random()),
            "distpsnr1": float(rng.uniform(2, 12)),
        }
        return cls._single(span_mjd, context, rng, cutout_bytes)

    @classmethod
    def spurious(
        cls, span_mjd: tuple[float, float], rng: np.random.Generator, cutout_bytes: Sequence[int]
    ) -> Self:
        """Return a single detection to which the survey's classifier gives a low real-bogus score.

        Parameters
        ----------
        span_mjd
            First and last possible time.
        rng
            Source of randomness.
        cutout_bytes
            Sizes of the image stamps.
        """
        context = {"drb": float(rng.uniform(0.0, 0.1)), "rb": float(rng.uniform(0.0, 0.3))}
        return cls._single(span_mjd, context, rng, cutout_bytes)

    @classmethod
    def _single(
        cls,
        span_mjd: tuple[float, float],
        context: dict[str, Any],
        rng: np.random.Generator,
        cutout_bytes: Sequence[int],
    ) -> Self:
        """Return an object with one detection and a month of limits before it."""
        mjd = rng.uniform(*span_mjd)
        times = np.concatenate([[mjd], mjd - np.sort(rng.uniform(0.9, 29.5, 9))])
        flux = np.zeros(times.size)
        flux[0] = 10 ** rng.uniform(4.7, 5.3)
        kind = np.full(times.size, Kind.UPPER_LIMIT, np.uint8)
        kind[0] = Kind.DETECTION
        error = np.full(times.size, 6000.0)
        band = rng.choice([Band.G, Band.R], times.size).astype(np.uint8)
        order = np.argsort(times)
        rows = ObjectPhotometry(times[order], band[order], kind[order], flux[order], error[order])
        position = float(rng.uniform(0, 360)), float(rng.uniform(-20, 60))
        return cls._of_rows(rows, position, context, rng, cutout_bytes)

    @classmethod
    def _of_rows(
        cls,
        rows: ObjectPhotometry,
        position_deg: tuple[float, float],
        context: dict[str, Any],
        rng: np.random.Generator,
        cutout_bytes: Sequence[int],
    ) -> Self:
        """Return an object with all its records."""
        blank = packet_format(Survey.ZTF).blank
        quadrant = int(rng.integers(0, 64))
        shared = exposures(rows, rng, quadrant)
        made: dict[int, list[dict[str, Any]]] = {Kind.DETECTION: [], Kind.FORCED: [], Kind.UPPER_LIMIT: []}
        for i, kind in enumerate(rows.kind.tolist()):
            exposure = shared[float(rows.mjd_tai[i]), int(rows.band[i])]
            if kind == Kind.DETECTION:
                values = detection(rows, i, exposure, position_deg, rng)
            elif kind == Kind.FORCED:
                values = forced(rows, i, exposure, position_deg, rng)
            else:
                limit = limit_mag(rows.flux_err_njy[i])
                values = exposure | {"diffmaglim": limit, "rbversion": "t17_f5_c3"}
            record = "fp_hist" if kind == Kind.FORCED else "prv_candidate"
            known = {name: value for name, value in values.items() if name in blank[record]}
            made[kind].append(blank[record] | known)
        quality = {"rb": float(rng.uniform(0.6, 0.95)), "drb": float(rng.uniform(0.9, 1.0))}
        return cls(
            object_id=_name(rows.mjd_tai[rows.kind == Kind.DETECTION][0], rng),
            detections=made[Kind.DETECTION],
            limits=made[Kind.UPPER_LIMIT],
            forced=made[Kind.FORCED],
            alert_mjd_tai=rows.mjd_tai[rows.kind == Kind.DETECTION].tolist(),
            context=quality | context,
            cutouts=random_stamps(rng, cutout_bytes),
            sync_marker=rng.bytes(16),
        )

    def encode(self, alert: int) -> bytes:
        """Return the packet of an alert, given the index of its detection.

        Parameters
        ----------
        alert
            Index in `detections`.
        """
        packet = packet_format(Survey.ZTF)
        trigger = self.detections[alert]
        candid, jd = trigger["candid"], trigger["jd"]
        earlier = [row for row in (*self.detections[:alert], *self.limits) if _is_recent(row["jd"], jd)]
        record = packet.blank["alert"] | {
            "schemavsn": VERSION[Survey.ZTF],
            "publisher": "ZTF (www.ztf.caltech.edu)",
            "objectId": self.object_id,
            "candid": candid,
            "candidate": self._candidate(alert),
            "prv_candidates": sorted(earlier, key=lambda row: float(row["jd"])) or None,
            "fp_hists": [row for row in self.forced if _is_recent(row["jd"], jd)] or None,
        }
        for name, stamp in zip(CUTOUT_NAMES, self.cutouts, strict=False):
            record[name] = {"fileName": f"candid{candid}_{name[6:].lower()}.fits.gz", "stampData": stamp}
        stream = io.BytesIO()
        fastavro.writer(stream, packet.schema, [record], sync_marker=self.sync_marker)
        return stream.getvalue()

    def _candidate(self, alert: int) -> dict[str, Any]:
        """Return the triggering detection with its context."""
        blank = packet_format(Survey.ZTF).blank
        row = self.detections[alert]
        known = {name: value for name, value in row.items() if name in blank["candidate"]}
        first = self.detections[0]["jd"]
        return (
            blank["candidate"]
            | known
            | {
                "ndethist": alert + 1,
                "ncovhist": len(self.detections) + len(self.limits),
                "jdstarthist": first,
                "jdendhist": row["jd"],
                "ssnamenr": "null",
                "ssdistnr": -999.0,
                "ssmagnr": -999.0,
                "objectidps1": 0,
                "sgscore1": 0.5,
                "distpsnr1": -999.0,
                "nmtchps": 1,
                "exptime": 30.0,
                "drbversion": "d6_m7",
                "jdstartref": FIRST_NIGHT_JD + 480,
                "jdendref": FIRST_NIGHT_JD + 700,
            }
            | self.context
        )


def _is_recent(jd: float, alert_jd: float) -> bool:
    """Return whether a row belongs to the history of an alert."""
    return alert_jd - HISTORY_DAYS <= jd < alert_jd


def _name(first_mjd_tai: float, rng: np.random.Generator) -> str:
    """Return a random name: ZTF, the year of discovery, seven letters."""
    year = 2000 + int((first_mjd_tai - 51_544) / 365.25)
    letters = "".join(chr(ord("a") + int(k)) for k in rng.integers(0, 26, 7))
    return f"ZTF{year % 100:02d}{letters}"
