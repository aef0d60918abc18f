"""Light curves to network input: the one featuriser of training and service."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION, Kind, Observations, Survey
from service.core.features.columns import COLUMNS, FEATURE_VERSION, Steps
from service.core.features.scan import QUANTITIES, advance_checkpoint_rows, write_quantities
from service.core.features.spec import WAVELENGTH_UM, FeatureSpec, KindName, nightjar_features, paper_features
from service.core.features.steps import count_steps, count_unchanged_steps
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

# Larger input is cut: with it a sum of float32 products could overflow, and the network say NaN.
LARGEST_INPUT = 1e6

# Steps worked on at a time: keeps the float64 intermediates (about 200 bytes a step) within the cache.
STEPS_AT_A_TIME = 1 << 14


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
        int64, shape (n_steps,): the observation each step came from, an index into the packed rows.
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
    """Put light curves end to end.

    Returns
    -------
    rows : ndarray of OBSERVATION
    offsets : ndarray, shape (n + 1,), int64
    """
    offsets = np.zeros(len(light_curves) + 1, np.int64)
    np.cumsum([len(rows) for rows in light_curves], out=offsets[1:])
    # Joined as bytes: twenty times faster than NumPy's concatenation of structured arrays.
    joined = bytearray().join([np.ascontiguousarray(rows).data for rows in light_curves])
    return np.frombuffer(joined, OBSERVATION), offsets


class Featuriser:
    """Encode light curves of one survey.

    A light curve begins with its trigger, the first usable detection: without one it has no steps, and
    from then on a prefix of a light curve encodes to a prefix of its encoding, rows of other kinds ahead
    of the trigger included. A row is usable if its time, flux and error are finite, its error is positive and
    the survey has its band; others are passed over.

    Parameters
    ----------
    spec
        What to compute.
    survey
        Whose bands the rows are in.
    """

    def __init__(self, spec: FeatureSpec, survey: Survey) -> None:
        self.spec = spec
        self.survey = survey
        self._wavelength_um = np.array(WAVELENGTH_UM[survey])
        kinds = sum(1 << Kind[name.upper()] for name in spec.kinds)
        bands = sum(1 << int(band) for band in np.flatnonzero(np.isfinite(self._wavelength_um)))
        # In the order in which the scans take them.
        self._selection = (kinds, bands, *spec.window_days)

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
            float64, shape (n,): rows later than this are not counted in what says "as of"; all are
            counted where it is left out.
        """
        as_of = np.full(len(offsets) - 1, np.inf) if as_of_mjd_tai is None else as_of_mjd_tai
        summary, _ = self._count(
            rows, offsets, initial_checkpoints(len(as_of)), as_of, np.zeros(len(as_of), np.int64)
        )
        return summary

    def compare(
        self,
        stored: Observations,
        stored_offsets: NDArray[np.int64],
        rows: Observations,
        offsets: NDArray[np.int64],
        as_of_mjd_tai: NDArray[np.float64],
        unchanged: NDArray[np.int64] | None = None,
        begun: NDArray[np.float64] | None = None,
    ) -> tuple[LightCurveSummary, NDArray[np.int64]]:
        """Summarise light curves and count how many of their steps are those that were stored.

        Parameters
        ----------
        stored, stored_offsets
            The n light curves as they were.
        rows, offsets, as_of_mjd_tai
            The same n light curves as they are now, as in `summarise`.
        unchanged
            int64, shape (n,): the first so many rows of each are known to be what they were, but for
            `reported_s`; spares comparing them.
        begun
            float64, shape (n, CHECKPOINT_SIZE): rows ahead of all of these that are not given, earlier than
            any given one and than `as_of_mjd_tai`; left out, there are none.

        Returns
        -------
        summary : LightCurveSummary
        known : ndarray, shape (n,), int64
            The first so many steps are all that were stored; -1 where a stored step changed, went, or has
            a new one before it.
        """
        same = np.zeros(len(as_of_mjd_tai), np.int64) if unchanged is None else unchanged
        ahead = initial_checkpoints(len(same)) if begun is None else begun
        summary, counts = self._count(rows, offsets, ahead, as_of_mjd_tai, same)
        known = np.empty(len(as_of_mjd_tai), np.int64)
        count_unchanged_steps(
            _plain(stored),
            stored_offsets,
            _plain(rows),
            offsets,
            ahead,
            same,
            counts,
            summary.trigger_mjd_tai,
            *self._selection,
            known,
        )
        return summary, known

    def _count(
        self,
        rows: Observations,
        offsets: NDArray[np.int64],
        begun: NDArray[np.float64],
        as_of_mjd_tai: NDArray[np.float64],
        unchanged: NDArray[np.int64],
    ) -> tuple[LightCurveSummary, NDArray[np.int64]]:
        counts = np.zeros((len(as_of_mjd_tai), 6), np.int64)
        trigger = np.empty(len(as_of_mjd_tai))
        count_steps(_plain(rows), offsets, begun, as_of_mjd_tai, unchanged, *self._selection, counts, trigger)
        columns = np.ascontiguousarray(counts.T)
        return LightCurveSummary(columns[0], columns[1], columns[2], columns[3], trigger), counts

    def encode(
        self,
        rows: Observations,
        offsets: NDArray[np.int64],
        first_step: NDArray[np.int64] | None = None,
        summary: LightCurveSummary | None = None,
        begun: NDArray[np.float64] | None = None,
    ) -> FeatureBatch:
        """Encode light curves, whole or from a given step of each on.

        A step's values are the same bits whichever of its neighbours are asked for with it.

        Parameters
        ----------
        rows, offsets
            As in `summarise`.
        first_step
            int64, shape (n,): earlier steps are left out.
        summary
            What `summarise` or `compare` said of these light curves, if it was asked before.
        begun
            As in `compare`, and what that was asked with; `first_step` is then not among those steps.
        """
        summary = summary or self.summarise(rows, offsets)
        first = np.zeros_like(summary.n_steps) if first_step is None else first_step
        ahead = initial_checkpoints(len(first)) if begun is None else begun
        step_offsets = np.zeros(len(offsets), np.int64)
        np.cumsum(np.maximum(summary.n_steps - first, 0), out=step_offsets[1:])
        x = np.empty((int(step_offsets[-1]), self.n_inputs), np.float32)
        row_index = np.empty(len(x), np.int64)
        for part in _parts(step_offsets):
            steps = slice(int(step_offsets[part.start]), int(step_offsets[part.stop]))
            curves = slice(part.start, part.stop + 1)
            quantities = np.empty((len(QUANTITIES), steps.stop - steps.start))
            write_quantities(
                _plain(rows),
                offsets[curves],
                ahead[part],
                summary.trigger_mjd_tai[part],
                first[part],
                step_offsets[curves] - steps.start,
                *self._selection,
                quantities,
                row_index[steps],
            )
            x[steps] = self._columns(quantities)
        return FeatureBatch(x, step_offsets, row_index)

    def advance_checkpoints(
        self,
        rows: Observations,
        offsets: NDArray[np.int64],
        begun: NDArray[np.float64],
        summary: LightCurveSummary,
    ) -> NDArray[np.float64]:
        """Bring checkpoints forward over rows that follow them.

        Parameters
        ----------
        rows, offsets
            As in `summarise`.
        begun
            float64, shape (n, CHECKPOINT_SIZE): where each stands; left as it is.
        summary
            What `compare` said of them.

        Returns
        -------
        ndarray, shape (n, CHECKPOINT_SIZE), float64
        """
        known = begun.copy()
        advance_checkpoint_rows(_plain(rows), offsets, summary.trigger_mjd_tai, *self._selection, known)
        return known

    def _columns(self, quantities: NDArray[np.float64]) -> NDArray[np.float64]:
        steps = Steps(quantities, self._wavelength_um, self.spec.softening_njy)
        values = np.stack([COLUMNS[name](steps) for name in self.spec.columns], axis=1)
        return np.clip(values, -LARGEST_INPUT, LARGEST_INPUT, out=values)


def _plain(rows: Observations) -> Observations:
    """Make all light curves of one type for the compiler: contiguous and read-only."""
    view = np.ascontiguousarray(rows).view()
    view.flags.writeable = False
    return view


def _parts(step_offsets: NDArray[np.int64]) -> list[slice]:
    """Cut light curves into runs of about `STEPS_AT_A_TIME` steps, whole light curves each."""
    bounds = np.arange(0, int(step_offsets[-1]), STEPS_AT_A_TIME)
    starts = np.unique(np.searchsorted(step_offsets, bounds, side="right") - 1)
    stops = np.append(starts[1:], len(step_offsets) - 1)[: len(starts)]
    return [slice(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]
