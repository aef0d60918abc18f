"""``nightjar reclassify``: classify stored light curves with any model."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated

import orjson
import typer
from rich.console import Console

from service.cli.options import PartitionsOption, mjd_tai, object_ids
from service.cli.progress import progress_bar
from service.cli.signals import interrupt_on_signals
from service.core.classifier import ObjectClassifier
from service.core.models.bundle import load_bundle
from service.core.models.info import ModelInfo
from service.core.ports.store import ObjectStore
from service.errors import InputError
from service.settings import Settings, read_settings
from service.tools.reclassify.results import ResultStore, ShadowResults, TopicResults
from service.tools.reclassify.runner import Reclassifier
from service.tools.reclassify.sources import ObjectKeys, select_objects
from service.wiring.decoding import is_topic_of_service
from service.wiring.stores import object_store
from service.wiring.tools import connected_sink, kafka_clients

__all__ = ["reclassify"]


def reclassify(
    model: Annotated[str, typer.Option(help="Name of a shipped model, or a bundle's directory.")],
    objects: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID|@FILE", help="Only these; repeatable; @FILE has one id per line.", show_default=False
        ),
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="WHEN", help="Only objects with an alert since: 2026-03-01, or P2D ago.")
    ] = "",
    topic: Annotated[
        str, typer.Option(help="Write to this topic, created if missing, instead of next to the objects.")
    ] = "",
    all_epochs: Annotated[
        bool, typer.Option("--all-epochs", help="As of every stored alert, not only the latest.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also write results that the topic holds already.")
    ] = False,
    partitions: PartitionsOption = 4,
    json: Annotated[bool, typer.Option("--json", help="Print the counts as one JSON object.")] = False,
) -> None:
    """Classify stored light curves with any model; the deployed model's results are not changed.

    Results are stored next to the objects under the model's name, where the API shows them at
    /v1/objects/ID/shadow-classifications, or, with --topic, in a separate topic. Existing results are not
    computed again: an interrupted run continues where it stopped when it is called again.
    """
    settings = read_settings()
    classifier = ObjectClassifier(load_bundle(model))
    since_mjd_tai = mjd_tai(since, "--since")
    with interrupt_on_signals(), closing(object_store(settings)) as store:
        keys = select_objects(object_ids(objects or (), "--objects"), store, classifier.bundle.survey)
        info = ModelInfo.of(classifier.bundle)
        with _result_store(settings, store, info, topic, partitions, force=force) as results:
            runner = Reclassifier(store, classifier, results, all_epochs, since_mjd_tai)
            _run(runner, keys, Console(stderr=True, highlight=False, soft_wrap=True))
    if json:
        typer.echo(orjson.dumps({"objects": runner.objects, "alerts": runner.alerts}).decode())
    else:
        _print_counts(runner, Console(highlight=False, soft_wrap=True))


@contextmanager
def _result_store(
    settings: Settings, store: ObjectStore, model: ModelInfo, topic: str, partitions: int, *, force: bool
) -> Iterator[ResultStore]:
    if not topic:
        yield ShadowResults(store, model, settings.history_length)
        return
    if is_topic_of_service(settings, topic):
        raise InputError(f"--topic: {topic} is one of the service's own, choose another one")
    clients = kafka_clients(settings)
    clients.ensure_topic(topic, partitions)
    with closing(connected_sink(settings, clients, f"reclassify-{topic}")) as sink:
        yield TopicResults(topic, clients, sink, model, settings.output_format, force=force)


def _run(runner: Reclassifier, keys: ObjectKeys, console: Console) -> None:
    with progress_bar(console, "classifying", len(keys) if console.is_terminal else None) as advance:
        try:
            for count in runner.run(keys, time.time_ns() // 1_000_000):
                advance(count)
        except KeyboardInterrupt:
            console.print("interrupted: the same command continues from here")
            raise


def _print_counts(runner: Reclassifier, console: Console) -> None:
    objects, alerts = runner.objects, runner.alerts
    skipped = [
        f"{count} {outcome}" for outcome, count in sorted(objects.items()) if outcome != "read" and count
    ]
    read = ", ".join([f"{objects['read']} read", *skipped])
    console.print(f"{objects.total()} objects: {read}")
    known = alerts["there already"]
    new = {outcome: count for outcome, count in alerts.items() if outcome != "there already" and count}
    abstained = [f"{count} {outcome}" for outcome, count in sorted(new.items()) if outcome != "classified"]
    outcomes = ", ".join([f"{new.get('classified', 0)} classified", *abstained])
    console.print(f"{alerts.total()} alerts: {known} answered before, {sum(new.values())} now: {outcomes}")
