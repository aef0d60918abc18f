"""The featuriser, which turns light curves into network input, for training and service alike."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION, Kind, Observations, Survey
from service.core.features.columns import COLUMNS, FEATURE_VERSION, Steps
from service.core.features.scan import QUANTITIES, advance_checkpoint_rows, write_quantities
from service.core.features.spec import WAVELENGTH_UM, FeatureSpec, KindName, nightjar_features, paper_features
from service.core.features.steps import (
    PackedLightCurves,
    StepSelection,
    count_steps,
    count_unchanged_steps,
)
from service.core.state.checkpoint import initial_checkpoints

__all__ = [
    "FEATURE_VERSION",
    "WAVELENGTH_UM",
    "FeatureBatch",
    "FeatureSpec",
    "Featuriser",
    "KindName",
    "LightCurveSummary",
    "nightjar_features",
    "pack",
    "paper_features",
]

# Larger input is clipped: a sum of float32 products could overflow and the network's output become NaN.
MAX_INPUT = 1e6

# Steps encoded at a time: keeps the float64 intermediates (about 200 bytes a step) within the cache.
CHUNK_STEPS = 1 << 14


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """Steps of n light curves.

    Attributes
    ----------
    x
        float32, shape (n_steps, n_inputs), C order, finite.
    offsets
        int64, shape (n + 1,): rows ``offsets[i]:offsets[i + 1]`` of `x` belong to light curve i.
    row_index
        int64, shape (n_steps,): index into the packed rows of the observation that each step encodes.
    """

    x: NDArray[np.float32]
    offsets: NDArray[np.int64]
    row_index: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LightCurveSummary:
    """Counts of n light curves; every array has shape (n,).

    Attributes
    ----------
    n_steps
        int64, steps of the whole light curve.
    n_steps_as_of
        int64, steps up to the given time.
    n_detections, n_observations
        int64, usable detections, and rows of any kind, up to the given time.
    trigger_mjd_tai
        float64, time of the first usable detection, NaN without one.
    """

    n_steps: NDArray[np.int64]
    n_steps_as_of: NDArray[np.int64]
    n_detections: NDArray[np.int64]
    n_observations: NDArray[np.int64]
    trigger_mjd_tai: NDArray[np.float64]


def pack(light_curves: list[Observations]) -> tuple[Observations, NDArray[np.int64]]:
    """Concatenate light curves.

    Parameters
    ----------
    light_curves
        n arrays of `OBSERVATION`.

    Returns
    -------
    rows : ndarray of OBSERVATION
        Light curves end to end.
    offsets : ndarray, shape (n + 1,), int64
        Rows ``offsets[i]:offsets[i + 1]`` are light curve i.
    """
    offsets = np.zeros(len(light_curves) + 1, np.int64)
    np.cumsum([len(rows) for rows in light_curves], out=offsets[1:])
    # Joined as bytes: twenty times faster than NumPy's concatenation of structured arrays.
    joined = bytearray().join([np.ascontiguousarray(rows).data for rows in light_curves])
    return np.frombuffer(joined, OBSERVATION), offsets


class Featuriser:
    """Encodes light curves of one survey.

    The trigger of a light curve is its first usable detection. Without one there are no steps; with one, a
    prefix of the light curve encodes to a prefix of its encoding, which includes rows of other kinds before
    the trigger. A row is usable if its time, flux and error are finite, its error is positive and the survey
    has its band; other rows are skipped.

    Parameters
    ----------
    spec
        Columns, kinds and window of the network's input.
    survey
        Survey of the light curves, which fixes the wavelengths of the bands.
    """

    def __init__(self, spec: FeatureSpec, survey: Survey) -> None:
        self.spec = spec
        self.survey = survey
        self._wavelength_um = np.array(WAVELENGTH_UM[survey])
        kinds = sum(1 << Kind[name.upper()] for name in spec.kinds)
        bands = sum(1 << int(band) for band in np.flatnonzero(np.isfinite(self._wavelength_um)))
        self._selection = StepSelection(kinds, bands, *spec.window_days)

    @property
    def n_inputs(self) -> int:
        """Number of columns."""
        return len(self.spec.columns)

    def summarise(
        self,
        rows: Observations,
        offsets: NDArray[np.int64],
        as_of_mjd_tai: NDArray[np.float64] | None = None,
    ) -> LightCurveSummary:
        """Count steps and detections.

        Parameters
        ----------
        rows
            `OBSERVATION`, light curves end to end, each sorted by time.
        offsets
            int64, shape (n + 1,), ascending from 0 to ``len(rows)``.
        as_of_mjd_tai
            float64, shape (n,), days: later rows are left out of the "as of" counts. By default all rows
            count.
        """
        as_of = np.full(len(offsets) - 1, np.inf) if as_of_mjd_tai is None else as_of_mjd_tai
        curves = _packed(rows, offsets, None)
        summary, _ = self._count(curves, as_of, np.zeros(len(as_of), np.int64))
        return summary

    def compare(
        self,
        stored: Observations,
        stored_offsets: NDArray[np.int64],
        rows: Observations,
        offsets: NDArray[np.int64],
        as_of_mjd_tai: NDArray[np.float64],
        unchanged: NDArray[np.int64] | None = None,
        checkpoints: NDArray[np.float64] | None = None,
    ) -> tuple[LightCurveSummary, NDArray[np.int64]]:
        """Summarise light curves and count how many of their steps are unchanged stored steps.

        Parameters
        ----------
        stored, stored_offsets
            The n light curves as they were stored.
        rows, offsets, as_of_mjd_tai
            The same n light curves as they are now, as in `summarise`.
        unchanged
            int64, shape (n,): so many leading rows of each light curve are known to equal the stored ones
            except for `reported_s`, and need not be compared. By default all rows are compared.
        checkpoints
            float64, shape (n, CHECKPOINT_SIZE): summaries of rows before all of these, which are earlier
            than any of them and than `as_of_mjd_tai`. By default there are no such rows.

        Returns
        -------
        summary : LightCurveSummary
        n_kept : ndarray, shape (n,), int64
            The number of stored steps, which are the first steps now; -1 if a stored step changed,
            disappeared, or is now preceded by a new one.
        """
        n_unchanged = np.zeros(len(as_of_mjd_tai), np.int64) if unchanged is None else unchanged
        current = _packed(rows, offsets, checkpoints)
        before = PackedLightCurves(_plain(stored), stored_offsets, current.checkpoints)
        summary, counts = self._count(current, as_of_mjd_tai, n_unchanged)
        n_kept = np.empty(len(as_of_mjd_tai), np.int64)
        count_unchanged_steps(
            before, current, self._selection, n_unchanged, counts, summary.trigger_mjd_tai, n_kept
        )
        return summary, n_kept

    def _count(
        self, curves: PackedLightCurves, as_of_mjd_tai: NDArray[np.float64], n_unchanged: NDArray[np.int64]
    ) -> tuple[LightCurveSummary, NDArray[np.int64]]:
        counts = np.zeros((len(as_of_mjd_tai), 6), np.int64)
        trigger = np.empty(len(as_of_mjd_tai))
        count_steps(curves, self._selection, as_of_mjd_tai, n_unchanged, counts, trigger)
        columns = np.ascontiguousarray(counts.T)
        return LightCurveSummary(columns[0], columns[1], columns[2], columns[3], trigger), counts

    def encode(
        self,
        rows: Observations,
        offsets: NDArray[np.int64],
        first_step: NDArray[np.int64] | None = None,
        summary: LightCurveSummary | None = None,
        checkpoints: NDArray[np.float64] | None = None,
    ) -> FeatureBatch:
        """Encode light curves, whole or from a given step of each on.

        The values of a step are the same bits whichever other steps are encoded with it.

        Parameters
        ----------
        rows, offsets
            As in `summarise`.
        first_step
            int64, shape (n,): earlier steps are left out. By default all steps are encoded.
        summary
            Result of `summarise` or `compare` for these light curves, if it is at hand.
        checkpoints
            As in `compare`; `first_step` must not lie within their rows.
        """
        summary = summary or self.summarise(rows, offsets)
        first = np.zeros_like(summary.n_steps) if first_step is None else first_step
        curves = _packed(rows, offsets, checkpoints)
        step_offsets = np.zeros(len(offsets), np.int64)
        np.cumsum(np.maximum(summary.n_steps - first, 0), out=step_offsets[1:])
        x = np.empty((int(step_offsets[-1]), self.n_inputs), np.float32)
        row_index = np.empty(len(x), np.int64)
        for chunk in _chunks(step_offsets):
            steps = slice(int(step_offsets[chunk.start]), int(step_offsets[chunk.stop]))
            bounds = slice(chunk.start, chunk.stop + 1)
            quantities = np.empty((len(QUANTITIES), steps.stop - steps.start))
            write_quantities(
                PackedLightCurves(curves.rows, offsets[bounds], curves.checkpoints[chunk]),
                self._selection,
                summary.trigger_mjd_tai[chunk],
                first[chunk],
                step_offsets[bounds] - steps.start,
                quantities,
                row_index[steps],
            )
            x[steps] = self._columns(quantities)
        return FeatureBatch(x, step_offsets, row_index)

    def advance_checkpoints(
        self,
        rows: Observations,
        offsets: NDArray[np.int64],
        checkpoints: NDArray[np.float64],
        summary: LightCurveSummary,
    ) -> NDArray[np.float64]:
        """Advance checkpoints over the rows that follow them.

        Parameters
        ----------
        rows, offsets
            As in `summarise`.
        checkpoints
            float64, shape (n, CHECKPOINT_SIZE): summaries of the rows before these; not modified.
        summary
            Result of `compare` for these light curves.

        Returns
        -------
        ndarray, shape (n, CHECKPOINT_SIZE), float64
            Summaries that include the given rows.
        """
        advanced = checkpoints.copy()
        curves = PackedLightCurves(_plain(rows), offsets, advanced)
        advance_checkpoint_rows(curves, self._selection, summary.trigger_mjd_tai)
        return advanced

    def _columns(self, quantities: NDArray[np.float64]) -> NDArray[np.float64]:
        steps = Steps(quantities, self._wavelength_um, self.spec.softening_njy)
        values = np.stack([COLUMNS[name](steps) for name in self.spec.columns], axis=1)
        return np.clip(values, -MAX_INPUT, MAX_INPUT, out=values)


def _packed(
    rows: Observations, offsets: NDArray[np.int64], checkpoints: NDArray[np.float64] | None
) -> PackedLightCurves:
    if checkpoints is None:
        checkpoints = initial_checkpoints(len(offsets) - 1)
    return PackedLightCurves(_plain(rows), offsets, checkpoints)


def _plain(rows: Observations) -> Observations:
    """Return a contiguous, read-only view or copy: one array type for the compiler."""
    view = np.ascontiguousarray(rows).view()
    view.flags.writeable = False
    return view


def _chunks(step_offsets: NDArray[np.int64]) -> list[slice]:
    """Split light curves into runs of about `CHUNK_STEPS` steps, each of whole light curves."""
    bounds = np.arange(0, int(step_offsets[-1]), CHUNK_STEPS)
    starts = np.unique(np.searchsorted(step_offsets, bounds, side="right") - 1)
    stops = np.append(starts[1:], len(step_offsets) - 1)[: len(starts)]
    return [slice(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]
