"""Classify the light curves of a table, without a broker or a store."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from service.core.abstention import light_curve_reasons
from service.core.alerts import Kind, Survey, surveys_of_model
from service.core.classification import Reason
from service.core.classifier import ClassifiedBatch, LightCurveBatch, ObjectClassifier
from service.core.models.bundle import Bundle
from service.decoding.light_curve_table import LightCurveTable
from service.errors import InputError

__all__ = ["check_output", "check_survey", "classify_table", "write_table"]

OBJECTS_PER_BATCH = 1000
CSV_SUFFIX = ".csv"
SUFFIXES = frozenset({CSV_SUFFIX, ".parquet", ".pq"})


def check_output(output: Path) -> None:
    """Refuse a file that could not be written, before the work begins.

    Parameters
    ----------
    output
        Where the results are to go.

    Raises
    ------
    InputError
        The suffix is not supported, or the directory does not exist.
    """
    if output.suffix.lower() not in SUFFIXES:
        raise InputError(f"{output}: the output must end in .csv or .parquet")
    if not output.parent.is_dir():
        raise InputError(f"{output}: no directory {output.parent}")


def check_survey(bundle: Bundle, survey: Survey) -> None:
    """Refuse a model of another survey.

    Parameters
    ----------
    bundle
        The model.
    survey
        The survey of the light curves.

    Raises
    ------
    InputError
        The model does not classify light curves of this survey.
    """
    if survey not in surveys_of_model(bundle.survey):
        raise InputError(f"model {bundle.name} is for {bundle.survey.value}, not for {survey.value}")


def classify_table(
    curves: LightCurveTable,
    bundle: Bundle,
    *,
    at_detections: int = 0,
    raw: bool = False,
    advance: Callable[[int], None] = lambda _count: None,
) -> pa.Table:
    """Classify every light curve at its end, or at a given number of detections.

    Rows after the model's time window are ignored: the model was not trained on any so late.

    Parameters
    ----------
    curves
        Light curves as read from the user's table.
    bundle
        The model.
    at_detections
        Cut each light curve after this many detections; 0 to use all of it.
    raw
        Return probabilities before calibration.
    advance
        Called with the number of objects of each batch once it is classified.

    Returns
    -------
    pyarrow.Table
        One row per object, in the order of `curves`; probabilities are null for an abstention.
    """
    classifier = ObjectClassifier(bundle)
    keep = _up_to_detection(curves, at_detections)
    batches = []
    for start in range(0, len(curves.object_id), OBJECTS_PER_BATCH):
        objects = slice(start, min(start + OBJECTS_PER_BATCH, len(curves.object_id)))
        batches.append(_classify_batch(curves, keep, objects, classifier))
        advance(objects.stop - objects.start)
    return _result_table(curves, bundle, batches, raw=raw)


def _classify_batch(
    curves: LightCurveTable, keep: NDArray[np.bool_], objects: slice, classifier: ObjectClassifier
) -> ClassifiedBatch:
    bounds = curves.offsets[objects.start : objects.stop + 1]
    rows = slice(int(bounds[0]), int(bounds[-1]))
    kept_before = np.concatenate([[0], np.cumsum(keep[rows])]).astype(np.int64)
    n = len(bounds) - 1
    batch = LightCurveBatch(
        rows=curves.observations[rows][keep[rows]],
        offsets=kept_before[bounds - bounds[0]],
        as_of_mjd_tai=np.full(n, np.inf),
        redshift=curves.redshift[objects],
        mwebv=curves.mwebv[objects],
    )
    return classifier.classify(batch, classifier.empty_batch(n))


def _up_to_detection(curves: LightCurveTable, count: int) -> NDArray[np.bool_]:
    """Return which rows belong to each light curve up to its `count`-th detection; all for 0."""
    if count == 0:
        return np.ones(len(curves.observations), np.bool_)
    is_detection = curves.observations["kind"] == Kind.DETECTION
    n_before = np.concatenate([[0], np.cumsum(is_detection)])
    n_seen = n_before[1:] - np.repeat(n_before[curves.offsets[:-1]], np.diff(curves.offsets))
    # A row after the last counted detection was not known yet at that time.
    keep: NDArray[np.bool_] = n_seen - is_detection < count
    return keep


def _result_table(
    curves: LightCurveTable, bundle: Bundle, batches: list[ClassifiedBatch], *, raw: bool
) -> pa.Table:
    no_counts, no_probabilities = np.zeros(0, int), np.zeros((0, len(bundle.classes)), np.float32)
    n_observations = np.concatenate([no_counts, *(batch.summary.n_observations for batch in batches)])
    n_detections = np.concatenate([no_counts, *(batch.summary.n_detections for batch in batches)])
    vectors = [batch.raw_probability if raw else batch.probability for batch in batches]
    probability = np.concatenate([no_probabilities, *vectors])
    reasons = light_curve_reasons(n_detections, min_detections=bundle.min_detections)
    abstained = reasons != Reason.CLASSIFIED
    columns = {
        "object_id": pa.array(curves.object_id, pa.string()),
        "n_observations": pa.array(n_observations, pa.int64()),
        "n_detections": pa.array(n_detections, pa.int64()),
        "status": pa.array(np.where(abstained, "abstained", "classified").tolist(), pa.string()),
        "reason": pa.array([Reason(code).label if code else None for code in reasons.tolist()], pa.string()),
    }
    prefix = "raw_probability" if raw else "probability"
    for index, name in enumerate(bundle.class_names):
        columns[f"{prefix}_{name}"] = pa.array(probability[:, index], pa.float32(), mask=abstained)
    return pa.table(columns)


def write_table(table: pa.Table, output: Path) -> None:
    """Write a table as CSV or Parquet, by the suffix of the file's name.

    Parameters
    ----------
    table
        What to write.
    output
        The file, which is replaced if it exists.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    try:
        if output.suffix.lower() == CSV_SUFFIX:
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
