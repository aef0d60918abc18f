"""``nightjar reclassify``: any model over the stored light curves, beside the results that are there."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.api.render.times import mjd_tai_of_utc
from service.cli.commands.audit import unix_ms
from service.cli.options import kafka_options
from service.cli.signals import ended_by_signals
from service.core.alerts import Survey, object_key
from service.core.classifier import ObjectClassifier
from service.core.ids import FORMS, InvalidObjectIdError, parse_object_id
from service.core.models.bundle import load_bundle
from service.core.ports.store import ModelInfo, ObjectStore
from service.errors import InputError, SettingsError
from service.kafka.topic_admin import TopicAdmin, TopicPlan
from service.settings import Settings, read_settings
from service.tools.reclassify import Reclassifier, ResultStore, ShadowResults, TopicResults, surveys_of
from service.tools.transactions import connected_sink
from service.wiring.decoding import source_topics
from service.wiring.stores import object_store

__all__ = ["reclassify"]

BROKERS_DEFAULT = -1  # Kafka's word for the broker's own replication factor
COLUMNS = (TextColumn("classifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def reclassify(
    model: Annotated[str, typer.Option(help="A shipped model's name, or a bundle's directory.")],
    objects: Annotated[
        list[str] | None,
        typer.Option(metavar="ID|@FILE", help="Only these; @FILE has one id per line.", show_default=False),
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="WHEN", help="Only objects with an alert since: 2026-03-01, or P2D ago.")
    ] = "",
    topic: Annotated[
        str, typer.Option(help="Write to this topic, which is made if need be, not beside the objects.")
    ] = "",
    every_alert: Annotated[
        bool, typer.Option("--every-alert", help="As of each alert that is remembered, not the latest alone.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Write to the topic what it holds already.")] = False,
    partitions: Annotated[int, typer.Option(min=1, help="Of a topic that does not exist yet.")] = 4,
    json: Annotated[bool, typer.Option("--json", help="Print the counts as one JSON object.")] = False,
) -> None:
    """Classify stored light curves with any model; what the model at work said stays as it is.

    Results go beside the objects, under the model's own name, where the API shows them at
    /v1/objects/ID/shadow-classifications; or, with --topic, to a topic of their own. Whatever is there
    already is not made again: a run that was interrupted goes on where it stopped when it is called again.
    """
    settings = read_settings()
    classifier = ObjectClassifier(load_bundle(model))
    since_mjd_tai = _since(since)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with ended_by_signals(), closing(object_store(settings)) as stored:
        keys = _keys(objects or (), stored, classifier.bundle.survey)
        registered = ModelInfo.of(classifier.bundle)
        with _results(settings, stored, registered, topic, partitions, again=again) as results:
            work = Reclassifier(stored, classifier, results, every_alert, since_mjd_tai)
            _run(work, keys, console)
    if json:
        typer.echo(orjson.dumps({"objects": work.objects, "alerts": work.alerts}).decode())
    else:
        _print(work, Console(highlight=False, soft_wrap=True))


class Keys:
    """The objects to look at, counted before they are."""

    def __init__(self, named: Sequence[str], stored: ObjectStore, surveys: Sequence[Survey]) -> None:
        self._named, self._stored, self._surveys = named, stored, surveys

    def __iter__(self) -> Iterator[str]:
        if self._named:
            yield from self._named
            return
        for survey in self._surveys:
            for keys in self._stored.keys(survey):
                yield from keys

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _keys(given: Iterable[str], stored: ObjectStore, survey: Survey) -> Keys:
    """Say which objects are asked for.

    Raises
    ------
    InputError
        An id is none, or is not of a survey that the model can read.
    """
    surveys = surveys_of(survey)
    named: list[str] = []
    for text in _ids(given):
        try:
            candidates = [one for one in parse_object_id(text) if one[0] in surveys]
        except InvalidObjectIdError:
            raise InputError(f"--objects: {text[:80]!r} is no object id; {FORMS}") from None
        if not candidates:
            raise InputError(f"--objects: the model is for {' and '.join(surveys)}, {text} is not")
        found = stored.load([object_key(*one) for one in candidates])
        known = [one for one, blob in zip(candidates, found, strict=True) if blob is not None]
        named.append(object_key(*(known or candidates)[0]))
    return Keys(named, stored, surveys)


def _ids(given: Iterable[str]) -> Iterator[str]:
    for text in given:
        if not text.startswith("@"):
            yield text
            continue
        try:
            lines = Path(text[1:]).read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--objects: {text[1:]} cannot be read: {error}") from error
        if not lines:
            raise InputError(f"--objects: {text[1:]} is empty")
        yield from lines


def _since(when: str) -> float:
    if not when:
        return float("-inf")
    return mjd_tai_of_utc(datetime.fromtimestamp(unix_ms(when) / 1000, UTC))


@contextmanager
def _results(
    settings: Settings,
    stored: ObjectStore,
    model: ModelInfo,
    topic: str,
    partitions: int,
    *,
    again: bool,
) -> Iterator[ResultStore]:
    """Give the place where the results go."""
    if not topic:
        yield ShadowResults(stored, model, settings.history_length)
        return
    _refuse_topics_of_the_service(settings, topic)
    options = kafka_options(settings, "")
    TopicAdmin(options).ensure([TopicPlan(topic, partitions, {})], replication=BROKERS_DEFAULT)
    with closing(connected_sink(settings, options, f"reclassify-{topic}")) as sink:
        yield TopicResults(topic, options, sink, model, settings.output_format, again=again)


def _refuse_topics_of_the_service(settings: Settings, topic: str) -> None:
    written = {settings.output_topic, settings.desc_topic, settings.rejected_topic, settings.shadow_topic}
    own = settings.model_copy(update={"output_topic": topic})
    try:
        if topic in written:
            raise SettingsError(topic)
        if settings.ztf_topics or settings.lsst_topics or settings.elasticc_topics:
            source_topics(own)  # refuses what the service would read itself
    except SettingsError:
        raise InputError(f"--topic: {topic} is one of the service's own, choose another one") from None


def _run(work: Reclassifier, keys: Keys, console: Console) -> None:
    with Progress(*COLUMNS, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(keys) if console.is_terminal else None)
        try:
            for count in work.run(keys, time.time_ns() // 1_000_000):
                progress.advance(task, count)
        except KeyboardInterrupt:
            console.print("interrupted: the same command goes on from here")
            raise


def _print(work: Reclassifier, console: Console) -> None:
    read = work.objects["read"]
    left_out = [f"{count} {fate}" for fate, count in sorted(work.objects.items()) if fate != "read" and count]
    console.print(f"{work.objects.total()} objects: {', '.join([f'{read} read', *left_out])}")
    known = work.alerts["there already"]
    made = {fate: count for fate, count in work.alerts.items() if fate != "there already" and count}
    abstained = [f"{count} {fate}" for fate, count in sorted(made.items()) if fate != "classified"]
    new = ", ".join([f"{made.get('classified', 0)} classified", *abstained])
    console.print(f"{work.alerts.total()} alerts: {known} answered before, {sum(made.values())} now: {new}")
