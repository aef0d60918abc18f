"""Which simulated objects a sample contains, and which of their rows."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Kind, Survey
from training.simulation.light_curves import SimulatedLightCurves
from training.simulation.photometry import ab_magnitude

__all__ = ["Selection", "bright_transients", "every_alert"]

_WATCH_DAYS = 7.0

# At least five of the six steps of 5 days from 10 days before the brightest detection to 20 days after it.
_STEP_DAYS = 5.0
_PEAK_STEPS = (-2, 4)
_MIN_STEPS = 5


@dataclass(frozen=True, slots=True)
class Selection:
    """Rules of a sample.

    Attributes
    ----------
    min_detections
        Objects with fewer are left out.
    peak_limit_mag
        Completeness is half at this brightest detection; None: no limit.
    peak_width_mag
        Width of the logistic fall of the completeness.
    class_limit_mag
        Limits of the classes whose samples come from deeper programmes.
    unwatched_share
        Fraction kept of the objects whose rise or peak the survey hardly observed: spectra are taken of
        objects that are seen to rise and stay visible, rarely of those present when the season began.
    days_before, days_after
        Rows kept before the first and after it, days.
    kinds
        Rows kept.
    """

    min_detections: int = 3
    peak_limit_mag: float | None = None
    peak_width_mag: float = 0.08
    class_limit_mag: tuple[tuple[str, float], ...] = ()
    unwatched_share: float = 1.0
    days_before: float = 40.0
    days_after: float = 400.0
    kinds: tuple[Kind, ...] = (Kind.DETECTION, Kind.FORCED, Kind.UPPER_LIMIT)

    def limit_mag(self, class_name: str) -> float | None:
        """Return the peak limit of a class, mag; None: no limit.

        Parameters
        ----------
        class_name
            One of `CLASS_NAMES`.
        """
        return dict(self.class_limit_mag).get(class_name, self.peak_limit_mag)

    def draw_limit_mag(self, class_name: str) -> float | None:
        """Return the faintest true peak of a class worth drawing, mag; None: the instrument's limit.

        Parameters
        ----------
        class_name
            One of `CLASS_NAMES`.
        """
        limit = self.limit_mag(class_name)
        return None if limit is None else limit + 3 * self.peak_width_mag + 0.15

    def apply(
        self, rng: np.random.Generator, objects: SimulatedLightCurves, class_name: str
    ) -> SimulatedLightCurves:
        """Return the objects that qualify, with their triggers set and their rows cut to the window.

        Parameters
        ----------
        rng
            Source of randomness.
        objects
            Of one class.
        class_name
            The class.
        """
        objects = self._triggered(objects)
        since = objects.mjd_tai - np.repeat(objects.trigger_mjd_tai, np.diff(objects.offsets))
        # Objects without a detection have a trigger of NaN: all their rows go.
        inside = (since >= -self.days_before) & (since <= self.days_after)
        watched = self._watched(objects, since)
        objects = objects.keep_rows(inside & np.isin(objects.kind, [int(kind) for kind in self.kinds]))
        detected = objects.kind == Kind.DETECTION
        count = np.bincount(objects.owner()[detected], minlength=len(objects))
        keep = count >= self.min_detections
        limit = self.limit_mag(class_name)
        if limit is not None:
            excess = (self._peak_mag(objects, detected) - limit) / self.peak_width_mag
            keep &= rng.random(len(objects)) < 1 / (1 + np.exp(np.clip(excess, -50, 50)))
        keep &= watched | (rng.random(len(objects)) < self.unwatched_share)
        return objects.take(np.flatnonzero(keep))

    @staticmethod
    def _triggered(objects: SimulatedLightCurves) -> SimulatedLightCurves:
        """Return the objects with the times of their first detections."""
        trigger = np.full(len(objects), np.inf)
        detected = objects.kind == Kind.DETECTION
        np.minimum.at(trigger, objects.owner()[detected], objects.mjd_tai[detected])
        return replace(objects, trigger_mjd_tai=np.where(np.isfinite(trigger), trigger, np.nan))

    @staticmethod
    def _watched(objects: SimulatedLightCurves, since_trigger: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which objects have a visit just before their first detection and several around peak."""
        owner = objects.owner()
        before = np.bincount(
            owner[(since_trigger >= -_WATCH_DAYS) & (since_trigger < 0)], minlength=len(objects)
        )
        size = np.where(objects.kind == Kind.DETECTION, np.abs(objects.flux_njy), -1.0)
        # The row of each object's largest flux is the last of its rows, sorted by object and flux.
        order = np.lexsort((size, owner))
        counts = np.diff(objects.offsets)
        brightest = order[objects.offsets[1:][counts > 0] - 1]
        peak = np.full(len(objects), np.nan)
        peak[counts > 0] = objects.mjd_tai[brightest]
        step = np.floor((objects.mjd_tai - np.repeat(peak, counts)) / _STEP_DAYS)
        near = (step >= _PEAK_STEPS[0]) & (step < _PEAK_STEPS[1])
        filled = np.unique(np.stack([owner[near], step[near].astype(np.int64)]), axis=1)
        visited = np.bincount(filled[0], minlength=len(objects))
        return (before > 0) & (visited >= _MIN_STEPS)

    @staticmethod
    def _peak_mag(objects: SimulatedLightCurves, detected: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the magnitude of each object's brightest detection; infinity without one."""
        peak = np.full(len(objects), np.inf)
        magnitude = ab_magnitude(np.abs(objects.flux_njy[detected].astype(np.float64)))
        np.minimum.at(peak, objects.owner()[detected], magnitude)
        return peak


def bright_transients(survey: Survey, min_detections: int = 5) -> Selection:
    """Return the selection of objects that are classified by spectra.

    ZTF: as in its Bright Transient Survey, a peak brighter than 19 mag; samples of superluminous supernovae
    and tidal disruption events come from deeper programmes. LSST: what spectrographs will reach, which is
    the brightness of the MALLORN and ELAsTiCC light curves.

    Parameters
    ----------
    survey
        ZTF or LSST.
    min_detections
        Objects with fewer are left out.
    """
    if survey is Survey.LSST:
        return Selection(
            min_detections=min_detections,
            peak_limit_mag=22.4,
            peak_width_mag=0.2,
            class_limit_mag=(("AGN", 23.3), ("TDE", 22.8)),
        )
    return Selection(
        min_detections=min_detections,
        peak_limit_mag=18.95,
        class_limit_mag=(("SLSN-I", 19.5), ("TDE", 19.3), ("AGN", 20.0), ("Other", 19.5)),
        unwatched_share=0.3,
    )


def every_alert(survey: Survey, min_detections: int = 3) -> Selection:  # noqa: ARG001  as for bright_transients
    """Return the selection of all objects that the survey detects often enough.

    Parameters
    ----------
    survey
        ZTF or LSST.
    min_detections
        Objects with fewer are left out.
    """
    return Selection(min_detections=min_detections)
