"""``nightjar classify``: light curves of a table, without broker or store."""

import csv
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from service.core.alerts import Kind, Survey
from service.core.classification import Reason
from service.core.classifier import ClassifiedBatch, LightCurveBatch, ObjectClassifier
from service.core.models.bundle import Bundle, load_bundle
from service.decoding.light_curve_table import DETECTION_SNR, LightCurveTable, read_light_curve_table
from service.errors import InputError

__all__ = ["classify", "classify_table"]

OBJECTS_AT_A_TIME = 1000
# The bundle that serves a survey where none is named.
SHIPPED_FOR = {Survey.ZTF: "ztf", Survey.LSST: "lsst", Survey.ELASTICC: "lsst"}


def classify(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV (.csv, .csv.gz) or Parquet with one row per observation: object_id, mjd or mjd_tai, "
            "band, and flux_njy, flux_err_njy or mag, mag_err; optional redshift, mwebv, limiting_mag in "
            "rows without mag, and detected (0 or 1) or kind (detection, forced, upper_limit)."
        ),
    ],
    survey: Annotated[Survey, typer.Option(help="Whose bands and depth the light curves have.")],
    output: Annotated[Path, typer.Option(help="CSV or Parquet, by suffix; one row per object.")],
    model: Annotated[
        str, typer.Option(help="Bundle directory, or the name of a shipped one; by default the survey's own.")
    ] = "",
    at_detections: Annotated[
        int, typer.Option(min=0, help="Use each light curve up to its N-th detection only; 0: all of it.")
    ] = 0,
    utc: Annotated[
        bool, typer.Option("--utc", help="Times are UTC; otherwise they are taken as TAI (37 s later).")
    ] = False,
    detection_snr: Annotated[
        float,
        typer.Option(min=0.0, help="Without detected or kind: a flux is a detection from this S/N on."),
    ] = DETECTION_SNR,
    raw: Annotated[
        bool, typer.Option("--raw", help="Write the network's own probabilities, before calibration.")
    ] = False,
) -> None:
    """Classify the light curves of a table.

    Writes object_id, n_observations, n_detections, status (classified or abstained), reason and one column
    probability_CLASS per class; with --raw, raw_probability_CLASS.
    """
    if output.suffix.lower() not in {".csv", ".parquet", ".pq"}:
        raise InputError(f"{output}: the output must end in .csv or .parquet")
    if not output.parent.is_dir():
        raise InputError(f"{output}: no directory {output.parent}")
    bundle = load_bundle(model or SHIPPED_FOR[survey])
    _check_survey(bundle, survey)
    curves = read_light_curve_table(file, utc=utc, detection_snr=detection_snr)
    table = classify_table(curves, bundle, at_detections=at_detections, raw=raw, console=Console(stderr=True))
    _write(table, output)
    classified = pc.sum(pc.equal(table["status"], "classified")).as_py() or 0
    typer.echo(f"{output}: {classified} of {table.num_rows} objects classified", err=True)


def classify_table(
    curves: LightCurveTable,
    bundle: Bundle,
    *,
    at_detections: int = 0,
    raw: bool = False,
    console: Console | None = None,
) -> pa.Table:
    """Classify every light curve at its end, or at a given number of detections.

    Rows after the model's time window are passed over, as the model never saw any so late.

    Parameters
    ----------
    curves
        As read from the user's table.
    at_detections
        Cut each light curve after so many detections; 0 for none.
    raw
        Give probabilities before calibration.
    console
        Where to show progress.

    Returns
    -------
    pyarrow.Table
        One row per object, in the order of `curves`; probabilities are null for an abstention.
    """
    classifier = ObjectClassifier(bundle)
    keep = _first_detections(curves, at_detections)
    starts = range(0, len(curves.object_id), OBJECTS_AT_A_TIME)
    quiet = console is None or len(starts) < 2
    parts = [
        _classify_some(curves, keep, slice(start, start + OBJECTS_AT_A_TIME), classifier)
        for start in track(starts, "classifying", console=console, disable=quiet)
    ]
    return _table(curves, bundle, parts, raw=raw)


def _classify_some(
    curves: LightCurveTable, keep: NDArray[np.bool_], some: slice, classifier: ObjectClassifier
) -> ClassifiedBatch:
    first, last = curves.offsets[some.start], curves.offsets[some.stop : some.stop + 1]
    rows = slice(int(first), int(last[0]) if len(last) else len(keep))
    offsets = curves.offsets[some.start : some.stop + 1] - first
    kept = np.concatenate([[0], np.cumsum(keep[rows])]).astype(np.int64)
    n = len(offsets) - 1
    batch = LightCurveBatch(
        rows=curves.observations[rows][keep[rows]],
        offsets=kept[offsets],
        as_of_mjd_tai=np.full(n, np.inf),
        redshift=curves.redshift[some],
        mwebv=curves.mwebv[some],
    )
    return classifier.classify(batch, classifier.empty_batch(n))


def _first_detections(curves: LightCurveTable, count: int) -> NDArray[np.bool_]:
    """Mark the rows up to each object's `count`-th detection."""
    if count == 0:
        return np.ones(len(curves.observations), np.bool_)
    detection = curves.observations["kind"] == Kind.DETECTION
    so_far = np.concatenate([[0], np.cumsum(detection)])
    lengths = np.diff(curves.offsets)
    seen = so_far[1:] - np.repeat(so_far[curves.offsets[:-1]], lengths)
    # A row after the last counted detection is no longer part of what was known then.
    keep: NDArray[np.bool_] = seen - detection < count
    return keep


def _table(curves: LightCurveTable, bundle: Bundle, parts: list[ClassifiedBatch], *, raw: bool) -> pa.Table:
    n_observations = np.concatenate([part.summary.n_observations for part in parts] or [np.zeros(0, int)])
    n_detections = np.concatenate([part.summary.n_detections for part in parts] or [np.zeros(0, int)])
    none = np.zeros((0, len(bundle.classes)), np.float32)
    chosen = [part.raw_probability if raw else part.probability for part in parts]
    probability = np.concatenate(chosen or [none])
    reason = np.where(n_detections == 0, Reason.NO_PHOTOMETRY, Reason.CLASSIFIED)
    too_few = (n_detections > 0) & (n_detections < bundle.min_detections)
    reason = np.where(too_few, Reason.TOO_FEW_DETECTIONS, reason)
    abstained = reason != Reason.CLASSIFIED
    columns = {
        "object_id": pa.array(curves.object_id, pa.string()),
        "n_observations": pa.array(n_observations, pa.int64()),
        "n_detections": pa.array(n_detections, pa.int64()),
        "status": pa.array(np.where(abstained, "abstained", "classified").tolist(), pa.string()),
        "reason": pa.array([Reason(code).label if code else None for code in reason.tolist()], pa.string()),
    }
    prefix = "raw_probability" if raw else "probability"
    for index, name in enumerate(bundle.class_names):
        columns[f"{prefix}_{name}"] = pa.array(probability[:, index], pa.float32(), mask=abstained)
    return pa.table(columns)


def _check_survey(bundle: Bundle, survey: Survey) -> None:
    serves = {Survey.LSST, Survey.ELASTICC} if bundle.survey is not Survey.ZTF else {Survey.ZTF}
    if survey not in serves:
        raise InputError(f"model {bundle.name} is for {bundle.survey.value}, not for {survey.value}")


def _write(table: pa.Table, output: Path) -> None:
    try:
        if output.suffix.lower() == ".csv":
            _write_csv(table, output)
        else:
            pyarrow.parquet.write_table(table, output)
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror or error}") from error


def _write_csv(table: pa.Table, output: Path) -> None:
    columns = [
        [("" if value is None else f"{value:.6g}") for value in column.to_pylist()]
        if pa.types.is_floating(column.type)
        else column.to_pylist()
        for column in table.columns
    ]
    with output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.column_names)
        writer.writerows(zip(*columns, strict=True))
