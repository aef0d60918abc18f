"""The client itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from .http import Transport
from .models import Candidate, Candidates, History, LightCurve, LiveResult, Published
from .schemas.classify import ClassifyAnswer, ClassifyRequest
from .schemas.objects import MAX_IDS, LookupAnswer, ObjectSummary
from .stream import follow
from .subscription import RecordCriteria, Subscription

__all__ = ["Nightjar"]

PAGE_SIZE = 500
DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_BROKERS = "127.0.0.1:9092"
DEFAULT_TOPIC = "nightjar.classifications"

Cone = tuple[float, float, float]
"""Right ascension and declination in degrees (ICRS), and a radius in arcsec."""


class Nightjar:
    """A client of one service.

    Parameters
    ----------
    url
        Base URL of its API.
    timeout
        Longest wait for a connection, and for each piece of an answer.
    retries
        How often a request is repeated where the server cannot be reached or is not ready.
    token
        Sent with every request, for servers that ask for one.

    Notes
    -----
    Every method raises `NoAnswerError` where the server does not answer, and `ApiError` where it refuses the
    request. A client may be shared between threads.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        timeout: timedelta = timedelta(seconds=10),
        retries: int = 4,
        token: str = "",
    ) -> None:
        self._transport = Transport(url, timeout, retries, token)
        self._retries = retries

    def object(self, object_id: str) -> ObjectSummary:
        """Return an object's position, counts and latest class vector.

        Raises
        ------
        NotFoundError
            No such object is stored.
        """
        return ObjectSummary.model_validate(self._transport.get(_path(object_id)))

    def lightcurve(self, object_id: str) -> LightCurve:
        """Return every observation of an object; raises as `object` does."""
        return LightCurve.model_validate(self._transport.get(_path(object_id, "lightcurve")))

    def history(self, object_id: str) -> History:
        """Return the classification as of each alert of an object; raises as `object` does."""
        return History.model_validate(self._transport.get(_path(object_id, "classifications")))

    def lookup(self, ids: Iterable[str]) -> LookupAnswer:
        """Return the summaries of any number of objects, and the ids that were not found."""
        remaining, answers = iter(ids), []
        while chunk := list(islice(remaining, MAX_IDS)):
            answers.append(
                LookupAnswer.model_validate(self._transport.post("/v1/objects/lookup", {"ids": chunk}))
            )
        return LookupAnswer(
            objects=[summary for answer in answers for summary in answer.objects],
            not_found=[text for answer in answers for text in answer.not_found],
        )

    def objects(
        self,
        *,
        survey: str | Sequence[str] = (),
        class_name: str | None = None,
        min_probability: float | None = None,
        since: datetime | float | None = None,
        until: datetime | float | None = None,
        min_detections: int | None = None,
        min_mag: float | None = None,
        max_mag: float | None = None,
        cone: Cone | None = None,
        sort: str | None = None,
        limit: int | None = None,
    ) -> Candidates:
        """Return the objects that meet every condition; pages are fetched as needed.

        Parameters
        ----------
        survey
            One survey, or several.
        class_name, min_probability
            The most probable class; with `min_probability`, a class that is at least that probable.
        since, until
            Bounds of the time of the latest alert: MJD TAI in days, or a time with its zone.
        min_detections
            Least number of detections.
        min_mag, max_mag
            Bounds of the AB magnitude of the latest detection.
        cone
            Centre and radius of a cone that holds the position.
        sort
            ``-last_alert``, ``-probability`` or ``distance``.
        limit
            Greatest number of objects; None for all.
        """
        query = _query(
            survey=survey,
            class_name=class_name,
            min_probability=min_probability,
            since=_moment(since),
            until=_moment(until),
            min_detections=min_detections,
            min_mag=min_mag,
            max_mag=max_mag,
            cone=cone,
            sort=sort,
        )
        return Candidates(islice(self._pages(query, limit), limit))

    def stream(
        self,
        *,
        survey: str | Sequence[str] = (),
        class_name: str | None = None,
        min_probability: float | None = None,
        min_detections: int | None = None,
        min_mag: float | None = None,
        max_mag: float | None = None,
        cone: Cone | None = None,
        stored_filter: str | None = None,
    ) -> Iterator[LiveResult]:
        """Iterate over the results that meet every condition as they arrive, without end.

        A lost connection is made again, and the stream resumes where it was interrupted.

        Parameters
        ----------
        survey, class_name, min_probability, min_detections, min_mag, max_mag, cone
            As for `objects`.
        stored_filter
            Name of a filter that is stored in the service.

        Warns
        -----
        MissedResultsWarning
            Results published during an interruption are no longer available.
        """
        query = _query(
            survey=survey,
            class_name=class_name,
            min_probability=min_probability,
            min_detections=min_detections,
            min_mag=min_mag,
            max_mag=max_mag,
            cone=cone,
            filter=stored_filter,
        )
        return follow(self._transport, query, self._retries)

    def classify(self, request: ClassifyRequest | Mapping[str, Any]) -> ClassifyAnswer:
        """Classify a light curve; nothing is stored."""
        body = ClassifyRequest.model_validate(request).model_dump(mode="json", exclude_unset=True)
        return ClassifyAnswer.model_validate(self._transport.post("/v1/classify", body))

    @staticmethod
    def subscribe(
        brokers: str = DEFAULT_BROKERS,
        topic: str = DEFAULT_TOPIC,
        *,
        survey: str | Sequence[str] = (),
        class_name: str | None = None,
        min_probability: float | None = None,
        object_id: str | Sequence[str] = (),
        status: str | Sequence[str] = (),
        from_beginning: bool = False,
        silence: timedelta | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Iterator[Published]:
        """Iterate over classifications from Kafka as they arrive, committed ones only.

        Parameters
        ----------
        brokers
            ``host:port``, comma-separated.
        topic
            The service's output topic.
        survey, class_name, min_probability
            As for `objects`.
        object_id
            One object or several, by the survey's own name or by qualified id.
        status
            ``classified`` or ``abstained``.
        from_beginning
            Start with the oldest record rather than with the next to come.
        silence
            Time without a record after which to stop; None for never.
        options
            Further librdkafka options, for example for security.

        Raises
        ------
        ImportError
            confluent-kafka is not installed.
        NoAnswerError
            Kafka does not answer, or has no such topic.
        RecordError
            The topic holds something else.
        """
        criteria = RecordCriteria(
            surveys=frozenset(_listed(survey)),
            object_ids=frozenset(_listed(object_id)),
            statuses=frozenset(_listed(status)),
            class_name=class_name,
            min_probability=min_probability,
        )
        kafka = {"bootstrap.servers": brokers, **(options or {})}
        return Subscription(kafka, topic, criteria, from_beginning, silence).records()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def _pages(self, query: Mapping[str, Any], limit: int | None) -> Iterator[Candidate]:
        size = PAGE_SIZE if limit is None else max(1, min(limit, PAGE_SIZE))
        cursor: str | None = None
        while True:
            page = self._transport.get("/v1/objects", {**query, "limit": size, **_given(cursor=cursor)})
            yield from map(Candidate.model_validate, page["objects"])
            cursor = page["next_cursor"]
            if cursor is None:
                return


def _path(object_id: str, *further: str) -> str:
    return "/".join(["/v1/objects", quote(object_id, safe=":"), *further])


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _query(
    *, survey: str | Sequence[str], class_name: str | None, cone: Cone | None, **conditions: Any
) -> dict[str, Any]:
    """Return conditions as parameters of the API; those that are None are left out."""
    ra, dec, radius_arcsec = cone or (None, None, None)
    named = {"survey": _listed(survey), "class": class_name}
    return _given(**named, **conditions, ra=ra, dec=dec, radius_arcsec=radius_arcsec)


def _moment(time: datetime | float | None) -> str | None:
    """Return a time as the API reads it.

    Raises
    ------
    ValueError
        It has no zone.
    """
    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise ValueError("give the time a zone: datetime(..., tzinfo=UTC)")
        return time.isoformat()
    return None if time is None else repr(float(time))
