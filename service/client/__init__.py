"""A client of the service, for scripts and notebooks.

>>> from service.client import Nightjar
>>> sky = Nightjar("http://127.0.0.1:8000")
>>> sky.history("ZTF21abiuvdk").table()  # doctest: +SKIP
"""

from service.client.errors import ApiError, ClientError, MissedResultsWarning, NoAnswerError, NotFoundError
from service.client.models import Candidate, Candidates, History, LightCurve, Published
from service.client.nightjar import Nightjar

__all__ = [
    "ApiError",
    "Candidate",
    "Candidates",
    "ClientError",
    "History",
    "LightCurve",
    "MissedResultsWarning",
    "Nightjar",
    "NoAnswerError",
    "NotFoundError",
    "Published",
]
