"""A client of the nightjar service, for scripts and notebooks.

Installed alone as ``nightjar_client``, and part of the server as ``service.client``; imports are relative so
that the same files serve both.

>>> from service.client import Nightjar
>>> sky = Nightjar("http://127.0.0.1:8000")
>>> sky.history("ZTF21abiuvdk").table()  # doctest: +SKIP
"""

from .errors import (
    ApiError,
    ClientError,
    MissedResultsWarning,
    NoAnswerError,
    NotFoundError,
    RecordError,
)
from .models import Candidate, Candidates, History, LightCurve, LiveResult, Published
from .nightjar import Nightjar

__all__ = [
    "ApiError",
    "Candidate",
    "Candidates",
    "ClientError",
    "History",
    "LightCurve",
    "LiveResult",
    "MissedResultsWarning",
    "Nightjar",
    "NoAnswerError",
    "NotFoundError",
    "Published",
    "RecordError",
]
