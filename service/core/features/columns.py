"""The columns a network may read, by name.

Each column is a function of the quantities known at each step. All arithmetic is float64 and element by
element, so that the value of a step depends neither on the batch nor on later steps. A model lists its
columns in its bundle; changing the meaning of a name requires a new `FEATURE_VERSION`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import BAND_NAMES, Kind
from service.core.features.scan import QUANTITIES

__all__ = ["COLUMNS", "FEATURE_VERSION", "NIGHTJAR_COLUMNS", "PAPER_COLUMNS", "Steps"]

FEATURE_VERSION = 1

FLUXCAL_PER_NJY = 0.027542  # zero point 27.5 against 31.4: 10 ** (-0.4 * 3.9)
PAPER_FLUX_SCALE = 500.0  # arXiv 2502.18558, section 3: flux and error divided by 500 FLUXCAL
_ROW_OF = {name: row for row, name in enumerate(QUANTITIES)}

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Steps:
    """Quantities known at each of n steps.

    Attributes
    ----------
    quantities
        float64, shape (len(QUANTITIES), n), as `write_quantities` writes it.
    wavelength_um
        float64, shape (6,): wavelength of each `Band`, NaN for bands the survey does not have.
    softening_njy
        Flux at which the asinh scale turns from linear to logarithmic.
    """

    quantities: Values
    wavelength_um: Values
    softening_njy: float

    def __getitem__(self, name: str) -> Values:
        """Return a quantity by its name in `QUANTITIES`; float64, shape (n,)."""
        values: Values = self.quantities[_ROW_OF[name]]
        return values

    def scaled(self, flux_njy: Values) -> Values:
        """Convert fluxes to the asinh scale.

        Parameters
        ----------
        flux_njy
            Shape (n,), nJy; NaN stays NaN.

        Returns
        -------
        ndarray, shape (n,), float64
            asinh(flux / softening), dimensionless (Lupton et al. 1999, AJ 118, 1406).
        """
        return np.arcsinh(flux_njy / self.softening_njy)

    def wavelength(self, band: Values) -> Values:
        """Return the wavelengths of bands.

        Parameters
        ----------
        band
            Shape (n,), `Band` values as float64, -1 for no band.

        Returns
        -------
        ndarray, shape (n,), float64
            um; NaN for no band.
        """
        table = np.append(self.wavelength_um, np.nan)
        return table[band.astype(np.int64)]


Column = Callable[[Steps], Values]


def _or_zero(values: Values) -> Values:
    return np.where(np.isnan(values), 0.0, values)


def _log_days(days: Values) -> Values:
    """Return ln(1 + days); -1 where the reference time is missing."""
    return np.where(np.isnan(days), -1.0, np.log1p(np.maximum(_or_zero(days), 0.0)))


def _log_time(steps: Steps) -> Values:
    since = steps["since_trigger_days"]
    return np.copysign(np.log1p(np.abs(since)), since)


def _log_gap(steps: Steps) -> Values:
    return np.log1p(_or_zero(steps["since_previous_days"]))


def _relative_flux(steps: Steps) -> Values:
    peak = steps["peak_njy"]
    return np.where(peak > 0.0, steps["flux_njy"] / np.where(peak > 0.0, peak, 1.0), 0.0)


def _change(steps: Steps) -> Values:
    return _or_zero(steps.scaled(steps["flux_njy"]) - steps.scaled(steps["same_band_flux_njy"]))


def _colour(steps: Steps) -> Values:
    """Return bluer minus redder of this measurement and the latest in another band, on the asinh scale."""
    difference = steps.scaled(steps["flux_njy"]) - steps.scaled(steps["other_band_flux_njy"])
    is_bluer = steps.wavelength(steps["band"]) < steps.wavelength(steps["other_band"])
    return _or_zero(np.where(is_bluer, difference, -difference))


def _change_rate(steps: Steps) -> Values:
    """Return `_change` per day, clipped to 3; intervals below half a day count as half a day."""
    days = np.maximum(_or_zero(steps["same_band_days"]), 0.5)
    return np.clip(_change(steps) / days, -3.0, 3.0)


def _fade_rate(steps: Steps) -> Values:
    """Return the decline from the peak on the asinh scale per day since the peak, clipped to 1."""
    below = steps.scaled(steps["peak_njy"]) - steps.scaled(np.abs(steps["flux_njy"]))
    return np.clip(_or_zero(below) / np.maximum(_or_zero(steps["since_peak_days"]), 1.0), -1.0, 1.0)


def _detection_rate(steps: Steps) -> Values:
    days = np.maximum(steps["since_trigger_days"], 0.0)
    return np.log1p(steps["n_detections"] / (1.0 + days))


def _last_colour(bluer: int, redder: int) -> Column:
    """Return the column for a colour of the latest measurements, however old; 0 where one is missing."""

    def colour(steps: Steps) -> Values:
        bluer_flux, redder_flux = steps[f"last_flux_njy_{bluer}"], steps[f"last_flux_njy_{redder}"]
        return _or_zero(steps.scaled(bluer_flux) - steps.scaled(redder_flux))

    return colour


def _is_kind(kind: Kind) -> Column:
    return lambda steps: (steps["kind"] == kind).astype(np.float64)


def _is_band(band: int) -> Column:
    return lambda steps: (steps["band"] == band).astype(np.float64)


def _last_flux(band: int) -> Column:
    return lambda steps: _or_zero(steps.scaled(steps[f"last_flux_njy_{band}"]))


def _last_age(band: int) -> Column:
    return lambda steps: _log_days(steps[f"last_days_{band}"])


_COLUMNS: dict[str, Column] = {
    # The paper's four.
    "wavelength": lambda steps: steps.wavelength(steps["band"]),  # um
    "paper_time": lambda steps: (steps["since_trigger_days"] + 30.0) / 100.0,
    "paper_flux": lambda steps: steps["flux_njy"] * FLUXCAL_PER_NJY / PAPER_FLUX_SCALE,
    "paper_flux_err": lambda steps: steps["flux_err_njy"] * FLUXCAL_PER_NJY / PAPER_FLUX_SCALE,
    # Time.
    "time": lambda steps: steps["since_trigger_days"] / 100.0,
    "log_time": _log_time,  # sign(t) ln(1 + |t|)
    "log_gap": _log_gap,  # ln(1 + days since the previous step)
    # This measurement.
    "flux": lambda steps: steps.scaled(steps["flux_njy"]),
    "flux_err": lambda steps: steps.scaled(steps["flux_err_njy"]),
    "snr": lambda steps: np.arcsinh(steps["flux_njy"] / steps["flux_err_njy"]),
    "is_detection": _is_kind(Kind.DETECTION),
    "is_forced": _is_kind(Kind.FORCED),
    "is_upper_limit": _is_kind(Kind.UPPER_LIMIT),
    # History up to this step.
    "log_detections": lambda steps: np.log1p(steps["n_detections"]),
    "peak": lambda steps: steps.scaled(steps["peak_njy"]),
    "relative_flux": _relative_flux,  # flux / greatest absolute flux so far
    "log_since_peak": lambda steps: _log_days(steps["since_peak_days"]),
    "change": _change,  # against the previous measurement in this band; 0 without one
    "log_change_gap": lambda steps: _log_days(steps["same_band_days"]),
    "colour": _colour,  # 0 without another band
    "log_colour_gap": lambda steps: _log_days(steps["other_band_days"]),
    "other_wavelength": lambda steps: _or_zero(steps.wavelength(steps["other_band"])),
    # Rates, since a network does not divide well.
    "change_rate": _change_rate,  # asinh units per day
    "fade_rate": _fade_rate,  # asinh units per day
    "detection_rate": _detection_rate,  # ln(1 + detections per day since the trigger)
    # Neighbouring bands.
    **{
        f"colour_{BAND_NAMES[band]}{BAND_NAMES[band + 1]}": _last_colour(band, band + 1)
        for band in range(len(BAND_NAMES) - 1)
    },
    # One column for each band.
    **{f"is_{name}": _is_band(band) for band, name in enumerate(BAND_NAMES)},
    **{f"last_{name}": _last_flux(band) for band, name in enumerate(BAND_NAMES)},
    **{f"log_age_{name}": _last_age(band) for band, name in enumerate(BAND_NAMES)},
}

COLUMNS = MappingProxyType(_COLUMNS)
"""Every column by name: a function of `Steps` that returns float64, shape (n,), finite for finite input."""

PAPER_COLUMNS = ("wavelength", "paper_time", "paper_flux", "paper_flux_err")
"""Input of arXiv 2502.18558, in its order."""

NIGHTJAR_COLUMNS = (
    "wavelength",
    "time",
    "log_time",
    "log_gap",
    "flux",
    "flux_err",
    "snr",
    "relative_flux",
    "log_since_peak",
    "change",
    "log_change_gap",
    "colour",
    "log_colour_gap",
    "other_wavelength",
)
"""Default input of our networks."""
