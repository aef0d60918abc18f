"""The instruments of the surveys."""

from dataclasses import dataclass, replace

from service.core.alerts import Band, Survey
from service.core.photometry import DETECTION_SIGMA

__all__ = ["LSST", "ZTF", "Instrument", "instrument"]


@dataclass(frozen=True, slots=True)
class Instrument:
    """How a survey measures.

    Attributes
    ----------
    survey
        Its name.
    bands
        In the order of every band axis.
    limit_mag
        Sources fainter than this at peak are not simulated (faintest useful detection).
    electrons_per_njy
        Collected in one visit, by band: sets the photon noise of the source itself.
    systematic
        Fractional error of a bright source.
    depth_loss_mag
        Loss of depth of a difference image, from the noise of its reference.
    detection_snr
        Threshold of the difference imaging, in units of the true noise.
    drop_fraction
        Fraction of visits without a measurement (failed subtraction, masked pixels).
    exposure_s
        Length of one visit.
    """

    survey: Survey
    bands: tuple[Band, ...]
    limit_mag: float
    electrons_per_njy: dict[Band, float]
    systematic: float
    depth_loss_mag: float
    detection_snr: float
    drop_fraction: float
    exposure_s: float


# ZTF's detection threshold is conservative: the scatter of neighbouring points of real light curves is that
# of the nominal depth, but detections end half a magnitude above it.
# ZTF: 30 s, zero points 26.3 / 26.3 / 25.7 and gain 5.8 e-/DN (alert packets; Masci et al. 2019).
ZTF = Instrument(
    survey=Survey.ZTF,
    bands=(Band.G, Band.R),
    limit_mag=20.7,
    electrons_per_njy={Band.G: 0.055, Band.R: 0.055, Band.I: 0.032},
    systematic=0.015,
    depth_loss_mag=0.1,
    detection_snr=8.8,
    drop_fraction=0.08,
    exposure_s=30.0,
)

# LSST: 30 s, zero points of one electron a second after SMTN-002: u 26.5, g 28.3, r 28.1, i 27.8,
# z 27.4, y 26.5.
LSST = Instrument(
    survey=Survey.LSST,
    bands=(Band.U, Band.G, Band.R, Band.I, Band.Z, Band.Y),
    limit_mag=24.8,
    electrons_per_njy={Band.U: 0.33, Band.G: 1.73, Band.R: 1.44, Band.I: 1.09, Band.Z: 0.75, Band.Y: 0.33},
    systematic=0.01,
    depth_loss_mag=0.1,
    detection_snr=DETECTION_SIGMA,
    drop_fraction=0.04,
    exposure_s=30.0,
)


def instrument(survey: Survey, bands: tuple[Band, ...] | None = None) -> Instrument:
    """Return the instrument of a survey.

    Parameters
    ----------
    survey
        ZTF or LSST.
    bands
        Bands to use; None: the survey's usual ones.

    Raises
    ------
    ValueError
        The survey is not simulated, or does not have one of the bands.
    """
    known = {Survey.ZTF: ZTF, Survey.LSST: LSST}
    if survey not in known:
        raise ValueError(f"no simulator for {survey}: choose ztf or lsst")
    base = known[survey]
    if bands is None:
        return base
    missing = [band.name for band in bands if band not in base.electrons_per_njy]
    if missing:
        raise ValueError(f"{survey} has no band {', '.join(missing)}")
    return replace(base, bands=bands)
