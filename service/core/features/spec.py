"""The specification of a network's input, as stored in its bundle."""

from types import MappingProxyType
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.core.alerts import Survey
from service.core.features.columns import COLUMNS, FEATURE_VERSION, NIGHTJAR_COLUMNS, PAPER_COLUMNS

__all__ = ["WAVELENGTH_UM", "FeatureSpec", "KindName", "nightjar_features", "paper_features"]

_MISSING = float("nan")
_LSST_WAVELENGTH_UM = (0.36, 0.476, 0.6215, 0.7545, 0.870, 1.015)

WAVELENGTH_UM = MappingProxyType(
    {
        Survey.ZTF: (_MISSING, 0.4827, 0.6223, 0.7886, _MISSING, _MISSING),
        Survey.LSST: _LSST_WAVELENGTH_UM,
        Survey.ELASTICC: _LSST_WAVELENGTH_UM,
    }
)
"""Wavelength of each `Band` in um (arXiv 2502.18558; ZTF i: SVO filter service), NaN for missing bands."""

KindName = Literal["detection", "forced", "upper_limit"]


class FeatureSpec(BaseModel):
    """Specification of a network's input; the ``features`` of a bundle.

    Attributes
    ----------
    version
        Version of the meaning of the column names; only `FEATURE_VERSION` is supported.
    columns
        Names from `COLUMNS`, in the order of the network's input.
    kinds
        Kinds of rows that become steps; must include ``detection``, because the first one is the trigger.
    window_days
        Steps lie within (first, last) days of the trigger, both included.
    softening_njy
        Flux at which the asinh scale turns from linear to logarithmic, nJy.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    version: int = FEATURE_VERSION
    columns: tuple[str, ...] = Field(min_length=1)
    kinds: tuple[KindName, ...] = ("detection",)
    window_days: tuple[float, float] = (-30.0, 70.0)
    softening_njy: float = Field(1000.0, gt=0.0)

    @model_validator(mode="after")
    def check(self) -> Self:
        """Reject what this version cannot compute."""
        if self.version != FEATURE_VERSION:
            raise ValueError(f"feature version {self.version}; this program computes {FEATURE_VERSION}")
        if unknown := sorted(set(self.columns) - set(COLUMNS)):
            raise ValueError(f"unknown feature columns: {', '.join(unknown)}")
        if len(set(self.columns)) < len(self.columns) or len(set(self.kinds)) < len(self.kinds):
            raise ValueError("a column or kind is listed twice")
        if "detection" not in self.kinds:
            raise ValueError("kinds must include detection")
        if not self.window_days[0] <= 0.0 < self.window_days[1]:
            raise ValueError("window_days must span the trigger")
        return self


def paper_features() -> FeatureSpec:
    """Return the input of arXiv 2502.18558: wavelength, time, flux and error of every row."""
    return FeatureSpec(columns=PAPER_COLUMNS, kinds=("detection", "forced", "upper_limit"))


def nightjar_features(softening_njy: float = 1000.0) -> FeatureSpec:
    """Return the default input of our networks.

    Parameters
    ----------
    softening_njy
        Flux at which the asinh scale turns from linear to logarithmic, nJy.
    """
    return FeatureSpec(columns=NIGHTJAR_COLUMNS, softening_njy=softening_njy)
