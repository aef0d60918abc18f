"""The client itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from service.api.routes.classify import ClassifyAnswer, ClassifyRequest
from service.api.schemas.objects import LookupAnswer, ObjectSummary
from service.client.http import Transport
from service.client.models import Candidate, Candidates, History, LightCurve, Published
from service.client.stream import follow
from service.client.subscription import Subscription
from service.core.records.published import Filter

__all__ = ["Nightjar"]

MOST_IDS = 1000  # of one lookup
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
        Where its API is.
    timeout
        Longest wait for a connection, and for each piece of an answer.
    retries
        How often a request is sent again where the server cannot be reached or is not ready.
    token
        Where the operator asks for one.

    Notes
    -----
    Every method raises `service.client.NoAnswerError` where the server stays away, and
    `service.client.ApiError` where it refuses the request. A client may be shared between threads.
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
        """Give an object's position, counts and latest class vector.

        Raises
        ------
        NotFoundError
            No such object is stored.
        """
        return ObjectSummary.model_validate(self._transport.get(_path(object_id)))

    def lightcurve(self, object_id: str) -> LightCurve:
        """Give every observation of an object; raises as `object` does."""
        return LightCurve.model_validate(self._transport.get(_path(object_id, "lightcurve")))

    def history(self, object_id: str) -> History:
        """Give the classification as of each alert of an object; raises as `object` does."""
        return History.model_validate(self._transport.get(_path(object_id, "classifications")))

    def lookup(self, ids: Iterable[str]) -> LookupAnswer:
        """Give the summaries of many objects, however many, and the ids of which there is none."""
        remaining, answers = iter(ids), []
        while chunk := list(islice(remaining, MOST_IDS)):
            answers.append(
                LookupAnswer.model_validate(self._transport.post("/v1/objects/lookup", {"ids": chunk}))
            )
        return LookupAnswer(
            objects=[one for answer in answers for one in answer.objects],
            unknown=[one for answer in answers for one in answer.unknown],
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
        max_magnitude: float | None = None,
        cone: Cone | None = None,
        sort: str | None = None,
        limit: int | None = None,
    ) -> Candidates:
        """Find objects that have all that is asked for; pages are fetched as needed.

        Parameters
        ----------
        class_name, min_probability
            The class that is most probable; with `min_probability`, one that is at least that probable.
        since, until
            Of the latest alert: MJD TAI in days, or a time with its zone.
        max_magnitude
            AB, of the latest detection.
        cone
            Where.
        sort
            ``-last_alert``, ``-probability`` or ``distance``.
        limit
            Give so many at most; None for all there are.
        """
        wanted = _selection(
            survey, class_name, min_probability, since, until, min_detections, max_magnitude, cone
        )
        return Candidates(islice(self._pages(wanted | _given(sort=sort), limit), limit))

    def stream(
        self,
        *,
        survey: str | Sequence[str] = (),
        class_name: str | None = None,
        min_probability: float | None = None,
        min_detections: int | None = None,
        max_magnitude: float | None = None,
        cone: Cone | None = None,
        stored_filter: str | None = None,
    ) -> Iterator[Candidate]:
        """Follow the results that have all that is asked for, as they come; for ever.

        A connection that is lost is made again, and goes on where it was cut.

        Parameters
        ----------
        survey, class_name, min_probability, min_detections, max_magnitude, cone
            As for `objects`.
        stored_filter
            Name of a filter that is stored in the service.

        Warns
        -----
        MissedResultsWarning
            The connection was lost for longer than results are kept.
        """
        wanted = _selection(
            survey, class_name, min_probability, None, None, min_detections, max_magnitude, cone
        )
        return follow(self._transport, wanted | _given(filter=stored_filter), self._retries)

    def classify(self, request: ClassifyRequest | Mapping[str, Any]) -> ClassifyAnswer:
        """Classify a light curve of yours; nothing of it is stored."""
        body = ClassifyRequest.model_validate(request).model_dump(mode="json", exclude_unset=True)
        return ClassifyAnswer.model_validate(self._transport.post("/v1/classify", body))

    @staticmethod
    def subscribe(
        brokers: str = DEFAULT_BROKERS,
        topic: str = DEFAULT_TOPIC,
        *,
        wanted: Filter | None = None,
        from_beginning: bool = False,
        silence: timedelta | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Iterator[Published]:
        """Read classifications from Kafka, committed ones only, as they come.

        Parameters
        ----------
        brokers
            ``host:port``, comma-separated.
        topic
            The service's output topic.
        wanted
            Which records; None for all.
        from_beginning
            Start with the oldest record rather than with the next to come.
        silence
            End when so long no record came; None for never.
        options
            Further librdkafka options, for example of security.

        Raises
        ------
        BrokerUnavailableError
            Kafka does not answer, or has no such topic.
        InputError
            The topic holds something else.
        """
        everything = {"bootstrap.servers": brokers, **(options or {})}
        return Subscription(everything, topic, wanted or Filter(), from_beginning, silence).records()

    def close(self) -> None:
        """Give up the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        """Use it in a with statement."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up the connections."""
        self.close()

    def _pages(self, wanted: Mapping[str, Any], limit: int | None) -> Iterator[Candidate]:
        size = PAGE_SIZE if limit is None else max(1, min(limit, PAGE_SIZE))
        cursor: str | None = None
        while True:
            page = self._transport.get("/v1/objects", {**wanted, "limit": size, **_given(cursor=cursor)})
            yield from map(Candidate.model_validate, page["objects"])
            cursor = page["next_cursor"]
            if cursor is None:
                return


def _path(object_id: str, *further: str) -> str:
    return "/".join(["/v1/objects", quote(object_id, safe=":"), *further])


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _selection(
    survey: str | Sequence[str],
    class_name: str | None,
    min_probability: float | None,
    since: datetime | float | None,
    until: datetime | float | None,
    min_detections: int | None,
    max_magnitude: float | None,
    cone: Cone | None,
) -> dict[str, Any]:
    """Write what is asked for as the API's parameters."""
    ra, dec, radius_arcsec = cone or (None, None, None)
    return _given(
        survey=[survey] if isinstance(survey, str) else list(survey),
        **{"class": class_name},
        min_probability=min_probability,
        since=_moment(since),
        until=_moment(until),
        min_detections=min_detections,
        max_magnitude=max_magnitude,
        ra=ra,
        dec=dec,
        radius_arcsec=radius_arcsec,
    )


def _moment(time: datetime | float | None) -> str | None:
    """Write a time.

    Raises
    ------
    ValueError
        It has no zone: whose midnight is meant?
    """
    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise ValueError("give the time a zone: datetime(..., tzinfo=UTC)")
        return time.isoformat()
    return None if time is None else repr(float(time))
