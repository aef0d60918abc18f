"""What the client returns: the API's own models, which can also be had as astropy tables."""

from typing import Any

from .schemas.objects import LightCurve as _LightCurve
from .schemas.objects import ListedObject, ObjectHistory, StreamedResult
from .schemas.records import PublishedRecord
from .tables import object_table, rows_table

__all__ = ["Candidate", "Candidates", "History", "LightCurve", "LiveResult", "Published"]


class Candidate(ListedObject):
    """An object in a list."""


class LiveResult(StreamedResult):
    """A result of the live stream: its object as of the alert."""


class Published(PublishedRecord):
    """A record of the output topic: the classification of one alert."""


class Candidates(list[Candidate]):
    """Objects in the order they were found."""

    def table(self) -> Any:
        """Return an `astropy.table.QTable`: one row per object, one column ``probability_<class>`` per class.

        Raises
        ------
        ImportError
            Astropy is not installed.
        """
        return rows_table([candidate.model_dump(mode="json") for candidate in self], Candidate, {})


class LightCurve(_LightCurve):
    """The light curve of an object, by time."""

    def table(self) -> Any:
        """Return an `astropy.table.QTable` with units: one row per observation.

        Raises
        ------
        ImportError
            Astropy is not installed.
        """
        return object_table(self, self.observations)


class History(ObjectHistory):
    """Every stored classification of an object, by time of the alert."""

    def table(self) -> Any:
        """Return an `astropy.table.QTable`: one row per alert, with the columns of its class vector.

        The probability of a class is in ``probability_<class>``, and before calibration in
        ``raw_probability_<class>``; both are masked for alerts that were not classified, or by a model
        without that class.

        Raises
        ------
        ImportError
            Astropy is not installed.
        """
        return object_table(self, self.epochs)
