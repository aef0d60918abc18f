"""Object ids as users write them."""

import re

from service.core.alerts import Survey

__all__ = ["FORMS", "Candidate", "InvalidObjectIdError", "parse_object_id"]

Candidate = tuple[Survey, str]

FORMS = (
    "ztf:ZTF21abiuvdk, lsst:169813..., elasticc:1234567, a ZTF name alone, or a number alone, which is "
    "looked up in LSST and then in ELAsTiCC"
)
"""The forms of an object id, for messages."""

_ZTF_NAME = re.compile(r"ZTF\d{2}[a-z]{7}", re.ASCII)
_NUMBER = re.compile(r"[1-9]\d{0,18}", re.ASCII)
# Solar-system sources have no diaObject: `service.core.alerts.AlertBatch.object_id`.
_SOLAR_SYSTEM = re.compile(r"(ss|src)[1-9]\d{0,19}", re.ASCII)


class InvalidObjectIdError(ValueError):
    """A text that is not a valid object id."""


def parse_object_id(text: str) -> tuple[Candidate, ...]:
    """Return the objects that a text may name, in the order in which to look them up.

    Raises
    ------
    InvalidObjectIdError
        It is not a valid object id.
    """
    prefix, colon, name = text.partition(":")
    if not colon:
        candidates = tuple((survey, text) for survey in Survey if _is_name(survey, text))
    else:
        candidates = tuple(
            (survey, name) for survey in Survey if survey.value == prefix and _is_name(survey, name)
        )
    if not candidates:
        raise InvalidObjectIdError(f"{text[:80]!r} is not an object id; {FORMS}")
    return candidates


def _is_name(survey: Survey, name: str) -> bool:
    """Return whether a survey may have an object of this name."""
    match survey:
        case Survey.ZTF:
            return bool(_ZTF_NAME.fullmatch(name))
        case Survey.LSST:
            return bool(_NUMBER.fullmatch(name) or _SOLAR_SYSTEM.fullmatch(name))
        case Survey.ELASTICC:
            return bool(_NUMBER.fullmatch(name))
