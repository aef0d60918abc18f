"""The parameters of searches and of the live stream, and the criteria they state."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

from service.api.problems import ProblemError, ProblemType
from service.api.render.times import mjd_tai_of_utc
from service.client.schemas.problems import Fault
from service.client.schemas.search import CriteriaParameters
from service.core.alerts import Survey
from service.core.models.registry import ModelRegistry
from service.core.search.criteria import Criteria
from service.core.sky import Cone

__all__ = ["Moment", "SearchParameters", "criteria_of", "known_classes"]

ARCSEC_PER_DEG = 3600.0


def _moment(value: object) -> object:
    """Return a time given as MJD TAI or as ISO 8601, which without a zone is UTC, as MJD TAI."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("give MJD TAI (60000.5) or ISO 8601 (2026-11-21T12:00:00Z)") from None
    return mjd_tai_of_utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


Moment = Annotated[float, BeforeValidator(_moment), Field(ge=0, lt=1e6, allow_inf_nan=False)]
"""A time, MJD TAI in days."""


class SearchParameters(CriteriaParameters):
    """Conditions on objects, or results, with bounds of the time of the latest alert."""

    since: Moment | None = Field(
        None,
        description="Least last_alert_mjd_tai: MJD TAI, or ISO 8601, which without a zone is UTC",
    )
    until: Moment | None = Field(None, description="Greatest last_alert_mjd_tai, in the same forms")


def criteria_of(
    parameters: CriteriaParameters, registry: ModelRegistry, *, location: str = "query"
) -> Criteria:
    """Return the criteria that a request states.

    Parameters
    ----------
    parameters
        From the request.
    registry
        Names the classes.
    location
        Part of the request that the parameters are in, for the error.

    Raises
    ------
    ProblemError
        There is no such class.
    StoreUnavailableError
        The store does not answer.
    """
    cone = None
    if parameters.ra is not None and parameters.dec is not None and parameters.radius_arcsec is not None:
        cone = Cone(parameters.ra, parameters.dec, parameters.radius_arcsec / ARCSEC_PER_DEG)
    since, until = None, None
    if isinstance(parameters, SearchParameters):
        since, until = parameters.since, parameters.until
    return Criteria(
        surveys=tuple(Survey(name) for name in dict.fromkeys(parameters.survey)),
        class_name=_class_name(parameters.class_name, registry, location),
        min_probability=parameters.min_probability,
        since_mjd_tai=since,
        until_mjd_tai=until,
        min_detections=parameters.min_detections,
        min_mag=parameters.min_mag,
        max_mag=parameters.max_mag,
        cone=cone,
    )


def _class_name(name: str | None, registry: ModelRegistry, location: str) -> str | None:
    """Return the class of a name in any case."""
    if name is None:
        return None
    known = known_classes(registry)
    if name.lower() not in known:
        message = f"unknown class {name!r}; known classes: {', '.join(sorted(known.values())) or 'none yet'}"
        fault = Fault(location=f"{location}.class", message=message)
        raise ProblemError(ProblemType.INVALID_REQUEST, message, errors=[fault])
    return known[name.lower()]


def known_classes(registry: ModelRegistry) -> Mapping[str, str]:
    """Return the classes of all known models: name in lower case to name.

    Raises
    ------
    StoreUnavailableError
        The store does not answer.
    """
    names: Sequence[str] = [name for model in registry.all() for _, name in model.classes]
    return {name.lower(): name for name in names}
