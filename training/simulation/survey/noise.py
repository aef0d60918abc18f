"""From a true flux to what a survey reports: noise, detection, upper limits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band, Survey
from service.core.photometry import DETECTION_SIGMA
from training.simulation.photometry import ab_magnitude, flux_njy
from training.simulation.survey.instruments import Instrument

__all__ = ["Measurements", "host_loss_mag", "measure"]

# Median sigmapsf of ZTF alerts against magnitude at a 5 sigma depth of 20.75 (public alerts of bright
# supernovae): the PSF-fit error is about twice the scatter of neighbouring points.
_SIGMAPSF_MAG = np.array([13.0, 15.0, 16.25, 17.25, 18.25, 19.25, 20.25, 21.25])
_SIGMAPSF = np.array([0.020, 0.028, 0.035, 0.048, 0.074, 0.128, 0.210, 0.330])
_SIGMAPSF_DEPTH = 20.75
_SCATTER_OVER_SIGMAPSF = 0.45
_LN10_OVER_2P5 = np.log(10) / 2.5


@dataclass(frozen=True, slots=True)
class Measurements:
    """Photometry of many visits; all arrays have shape (n,).

    Attributes
    ----------
    flux_njy, flux_err_njy
        Forced photometry on the difference image, signed, and its 1 sigma error.
    detected
        bool: above the survey's threshold, with either sign.
    alert_flux_njy, alert_flux_err_njy
        What an alert reports for a detection (for LSST the same values).
    limit_err_njy
        Error of an empty aperture: a fifth of the limiting flux.
    """

    flux_njy: NDArray[np.float64]
    flux_err_njy: NDArray[np.float64]
    detected: NDArray[np.bool_]
    alert_flux_njy: NDArray[np.float64]
    alert_flux_err_njy: NDArray[np.float64]
    limit_err_njy: NDArray[np.float64]


def host_loss_mag(rng: np.random.Generator, redshift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw the loss of depth on top of a host galaxy, mag.

    Parameters
    ----------
    rng
        Source of randomness.
    redshift
        Shape (n,); NaN for a source in the Milky Way, which has no host.

    Returns
    -------
    ndarray, shape (n,)
        Exponential; nearby galaxies are bright. The scale reproduces the magnitudes of the first detections
        of ZTF's bright supernovae of all types.
    """
    scale = np.minimum(0.25 * 0.035 / np.maximum(np.nan_to_num(redshift, nan=np.inf), 1e-3), 0.5)
    return rng.exponential(1.0, redshift.size) * scale


def measure(
    rng: np.random.Generator,
    instrument: Instrument,
    true_flux_njy: NDArray[np.float64],
    band: NDArray[np.uint8],
    depth_mag: NDArray[np.float64],
) -> Measurements:
    """Return what the survey measures: noise is added, and detections are decided.

    Parameters
    ----------
    rng
        Source of randomness.
    instrument
        The survey.
    true_flux_njy
        Shape (n,), difference flux.
    band
        Shape (n,), `Band`.
    depth_mag
        Shape (n,), nominal 5 sigma depth of the visit.
    """
    n = true_flux_njy.size
    depth = depth_mag - instrument.depth_loss_mag - np.abs(rng.normal(0, 0.1, n))
    sky = flux_njy(depth) / 5
    electrons = np.array([instrument.electrons_per_njy.get(b, np.inf) for b in Band])[band]
    photon = np.abs(true_flux_njy) / electrons
    error = np.sqrt(sky**2 + photon + (instrument.systematic * true_flux_njy) ** 2)
    measured = true_flux_njy + error * rng.standard_normal(n)
    reported = np.sqrt(sky**2 + np.abs(measured) / electrons + (0.5 * instrument.systematic * measured) ** 2)
    detected = np.abs(measured) >= instrument.detection_snr * np.sqrt(sky**2 + np.abs(measured) / electrons)
    if instrument.survey is Survey.ZTF:
        alert, alert_error = _ztf_alert(rng, measured, error, depth)
    else:
        alert, alert_error = measured, reported
    limit = sky * instrument.detection_snr / DETECTION_SIGMA
    return Measurements(measured, reported, detected, alert, alert_error, limit)


def _ztf_alert(
    rng: np.random.Generator,
    measured_njy: NDArray[np.float64],
    error_njy: NDArray[np.float64],
    depth_mag: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the flux and error of ZTF's alerts, given forced photometry."""
    size = np.maximum(np.abs(measured_njy), 1e-3 * error_njy)
    magnitude = ab_magnitude(size) - 0.6 * (depth_mag - _SIGMAPSF_DEPTH)
    sigma = np.interp(magnitude, _SIGMAPSF_MAG, _SIGMAPSF) * rng.lognormal(0.0, 0.19, size.size)
    # The noise of forced photometry is included: add what is missing to the scatter of real alerts.
    missing = (_SCATTER_OVER_SIGMAPSF * sigma) ** 2 - (error_njy / size / _LN10_OVER_2P5) ** 2
    extra = np.sqrt(np.maximum(missing, 0.0))
    alert = measured_njy * 10 ** (-0.4 * extra * rng.standard_normal(size.size))
    return alert, np.abs(alert) * sigma * _LN10_OVER_2P5
