"""``nightjar sizing``: how many cores, how much memory and disk, how many partitions a stream takes."""

import sys
from dataclasses import replace
from typing import Annotated

import typer

from service.tools.sizing_model import MEASURED, SCENARIOS, Need, ObjectShape, Scenario, need
from service.tools.sizing_page import markdown

__all__ = ["sizing"]


def sizing(
    alerts: Annotated[float, typer.Option(min=0.001, help="Alerts a second, mean over a night.")] = 280.0,
    objects: Annotated[float, typer.Option(min=1, help="With an alert in the last 400 days.")] = 60e6,
    years: Annotated[float, typer.Option(min=0.01, help="Of results that are archived.")] = 1.0,
    observations: Annotated[float, typer.Option(min=1, help="Stored of an object, mean.")] = 25.0,
    results: Annotated[float, typer.Option(min=0, max=64, help="Kept of an object, mean.")] = 8.0,
    packet_kb: Annotated[float, typer.Option(min=0.1, help="Mean length of an alert, kB.")] = 110.0,
    night_hours: Annotated[float, typer.Option(min=0.1, max=24, help="Of observing a day.")] = 10.0,
    worker_us: Annotated[
        float, typer.Option(min=0, help="Processor time of an alert on your machine, us; 0 for ours.")
    ] = 0.0,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Write docs/sizing.md instead.")] = False,
) -> None:
    """Compute what a stream takes from what the benchmarks measured; the defaults are LSST's first year."""
    if as_markdown:
        sys.stdout.write(markdown([(one, need(one, MEASURED)) for one in SCENARIOS], MEASURED))
        return
    scenario = Scenario(
        "yours",
        alerts_hz=alerts,
        night_hours=night_hours,
        packet_bytes=1000 * packet_kb,
        objects=objects,
        shape=ObjectShape(observations, results),
        years=years,
    )
    measured = replace(MEASURED, worker_us_per_alert=worker_us) if worker_us else MEASURED
    for line in lines(need(scenario, measured)):
        typer.echo(line)


def lines(found: Need) -> list[str]:
    """Say what it takes."""
    rows = {
        "workers": f"{found.workers}: {found.worker_cores:.2f} cores, {found.worker_memory_gb:.1f} GB in all",
        "partitions": f"{found.partitions} of each survey topic and of the output",
        "Kafka": f"{found.kafka_in_mb_s:.1f} MB/s in, {found.kafka_disk_tb:.2f} TB of disk in all",
        "Redis data": f"{found.redis_data_gb:.1f} GB",
        "Redis masters": f"{found.redis_masters}, and a replica of each",
        "Redis memory": f"{found.redis_memory_gb:.1f} GB in all",
        "Redis cores": f"{found.redis_cores:.2f} busy",
        "archive": f"{found.archive_tb:.3f} TB of Parquet",
    }
    return [f"{name:14} {value}" for name, value in rows.items()]
