"""A simple reader of alert packets with fastavro: one alert at a time, with Python numbers only.

Written from the surveys' documentation, independently of the code that it checks: the published schemas are
read from the test material, and a light curve is a dictionary.
"""

import io
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastavro

Row = tuple[str, int]
"""Kind and source id."""


@dataclass
class PlainAlert:
    survey: str
    object_id: str
    alert_id: int
    mjd_tai: float
    ra_deg: float
    dec_deg: float
    band: str
    solar_system: bool
    context: dict[str, float] = field(default_factory=dict)
    rows: dict[Row, tuple[float, float, float, str]] = field(default_factory=dict)
    """Time, flux, error, band."""

    def add(self, kind: str, source_id: int, mjd: float, flux: float, error: float, band: str) -> None:
        if math.isfinite(flux) and math.isfinite(error) and error > 0:
            self.rows[(kind, source_id)] = (mjd, flux, error, band)

    def drop_forced_rows_of_detections(self) -> None:
        exposures = {(row[0], row[3]) for (kind, _), row in self.rows.items() if kind == "detection"}
        for key in list(self.rows):
            if key[0] == "forced" and (self.rows[key][0], self.rows[key][3]) in exposures:
                del self.rows[key]


def load_schema(directory: Path, top: str) -> Any:
    """Load a schema published as one record per file."""
    records = {}
    for path in directory.glob(f"{top.partition('.')[0]}.*.avsc"):
        record = json.loads(path.read_text())
        records[f"{record['namespace']}.{record['name']}"] = record
    used = {top}

    def inline(node: Any) -> Any:
        if isinstance(node, str) and node in records and node not in used:
            used.add(node)
            return inline(records[node])
        if isinstance(node, list):
            return [inline(branch) for branch in node]
        if not isinstance(node, dict):
            return node
        result = dict(node)
        if node["type"] == "array":
            result["items"] = inline(node["items"])
        elif node["type"] == "record":
            result["fields"] = [{**entry, "type": inline(entry["type"])} for entry in node["fields"]]
        return result

    return fastavro.parse_schema(inline(records[top]), named_schemas={})


class PlainReader:
    """Reads a packet file of any survey."""

    def __init__(self, shared: Path) -> None:
        self._schemas = shared / "alerts"
        self._loaded: dict[str, Any] = {}

    def records(self, value: bytes) -> list[dict[str, Any]]:
        if value.startswith(b"Obj\x01"):
            containers: Any = fastavro.reader(io.BytesIO(value))
            return list(containers)
        if value[0] == 0:
            version = int.from_bytes(value[1:5], "big")
            major, minor = version // 100, version % 100
            path = f"lsst/schema/{major}.{minor}"
            return [self._body(value[5:], path, f"lsst.v{major}_{minor}.alert")]
        return [self._body(value, "elasticc/schema/0.9", "elasticc.v0_9.alert")]

    def _body(self, body: bytes, path: str, top: str) -> dict[str, Any]:
        if path not in self._loaded:
            self._loaded[path] = load_schema(self._schemas / path, top)
        record: Any = fastavro.schemaless_reader(io.BytesIO(body), self._loaded[path])
        return dict(record)

    def alerts(self, value: bytes) -> list[PlainAlert]:
        return [self.alert(record) for record in self.records(value)]

    def alert(self, record: dict[str, Any]) -> PlainAlert:
        if "candidate" in record:
            return ztf_alert(record)
        return lsst_alert(record) if "midpointMjdTai" in record["diaSource"] else elasticc_alert(record)


ZTF_BANDS = {1: "g", 2: "r", 3: "i"}


def nan_if_none(value: float | None) -> float:
    return math.nan if value is None else value


def ztf_flux(row: dict[str, Any]) -> tuple[float, float]:
    flux = 10 ** ((31.4 - row["magpsf"]) / 2.5)
    sign = {"t": 1, "1": 1, "f": -1, "0": -1}[row["isdiffpos"]]
    return sign * flux, flux * row["sigmapsf"] / 1.0857362047581294


def ztf_time(jd: float, exposure_s: float = 30.0) -> float:
    return jd - 2400000.5 + 37.0 / 86400 + exposure_s / 172800


def ztf_alert(record: dict[str, Any]) -> PlainAlert:
    trigger = record["candidate"]
    mjd = ztf_time(trigger["jd"], trigger.get("exptime") or 30.0)
    distance = nan_if_none(trigger["ssdistnr"])
    named = trigger["ssnamenr"] not in (None, "null")
    alert = PlainAlert(
        "ztf",
        record["objectId"],
        trigger["candid"],
        mjd,
        trigger["ra"],
        trigger["dec"],
        ZTF_BANDS[trigger["fid"]],
        named and not distance > 5,
    )
    deep = trigger.get("drb")
    has_star = trigger["sgscore1"] is not None and trigger["sgscore1"] >= 0
    alert.context = {
        "real_bogus": trigger["rb"] if deep is None else deep,
        "star_galaxy": trigger["sgscore1"] if has_star else math.nan,
        "star_distance_arcsec": trigger["distpsnr1"] if has_star else math.nan,
    }
    alert.add("detection", trigger["candid"], mjd, *ztf_flux(trigger), ZTF_BANDS[trigger["fid"]])
    for row in record["prv_candidates"] or []:
        time, band = ztf_time(row["jd"]), ZTF_BANDS[row["fid"]]
        if row["candid"] is not None:
            alert.add("detection", row["candid"], time, *ztf_flux(row), band)
        elif row["diffmaglim"] > 0:
            noise = 10 ** ((31.4 - row["diffmaglim"]) / 2.5) / 5
            alert.add("upper_limit", row["pid"], time, 0.0, noise, band)
    for row in record.get("fp_hists") or []:
        if row["forcediffimflux"] != -99999.0 and row["procstatus"] in ("0", "56"):
            scale = 10 ** ((31.4 - row["magzpsci"]) / 2.5)
            flux, error = scale * row["forcediffimflux"], scale * row["forcediffimfluxunc"]
            time = ztf_time(row["jd"], row["exptime"])
            alert.add("forced", row["pid"], time, flux, error, ZTF_BANDS[row["fid"]])
    return alert


def lsst_alert(record: dict[str, Any]) -> PlainAlert:
    trigger = record["diaSource"]
    solar = bool(trigger["ssObjectId"])
    alert = PlainAlert(
        "lsst",
        str(trigger["diaObjectId"]) if trigger["diaObjectId"] else f"ss{trigger['ssObjectId']}",
        trigger["diaSourceId"],
        trigger["midpointMjdTai"],
        trigger["ra"],
        trigger["dec"],
        trigger["band"],
        solar,
        {"real_bogus": nan_if_none(trigger["reliability"])},
    )
    for kind, key, rows in (
        ("detection", "diaSourceId", [trigger, *(record["prvDiaSources"] or [])]),
        ("forced", "diaForcedSourceId", record["prvDiaForcedSources"] or []),
    ):
        for row in rows:
            flux, error = nan_if_none(row["psfFlux"]), nan_if_none(row["psfFluxErr"])
            alert.add(kind, row[key], row["midpointMjdTai"], flux, error, row["band"])
    # The rule as the survey states it: by visit and detector.
    exposures = {(row["visit"], row["detector"]) for row in [trigger, *(record["prvDiaSources"] or [])]}
    for row in record["prvDiaForcedSources"] or []:
        if (row["visit"], row["detector"]) in exposures:
            alert.rows.pop(("forced", row["diaForcedSourceId"]), None)
    return alert


def elasticc_alert(record: dict[str, Any]) -> PlainAlert:
    trigger, host = record["diaSource"], record["diaObject"]
    unit = 10 ** (3.9 / 2.5) if "hostgal_z" in host else 1.0
    alert = PlainAlert(
        "elasticc",
        str(trigger["diaObjectId"]),
        trigger["diaSourceId"],
        trigger["midPointTai"],
        trigger["ra"],
        trigger["decl"],
        trigger["filterName"].lower(),
        False,
    )
    redshifts = [
        (host.get(name), host.get(f"{name}_err")) for name in ("hostgal_zspec", "hostgal_zphot", "hostgal_z")
    ]
    given = [pair for pair in redshifts if pair[0] is not None and pair[0] >= 0]
    alert.context = {
        "redshift": given[0][0] if given else math.nan,
        "redshift_err": given[0][1] if given else math.nan,
        "mwebv": host["mwebv"],
    }
    for kind, key, rows in (
        ("detection", "diaSourceId", [trigger, *(record["prvDiaSources"] or [])]),
        ("forced", "diaForcedSourceId", record["prvDiaForcedSources"] or []),
    ):
        for row in rows:
            flux, error = row["psFlux"] * unit, row["psFluxErr"] * unit
            alert.add(kind, row[key], row["midPointTai"], flux, error, row["filterName"].lower())
    alert.drop_forced_rows_of_detections()
    return alert
