"""How much of everything a stream needs: arithmetic on what the benchmarks measured.

Bytes of values follow from their formats; what cannot be derived stands in `MEASURED`, each number with the
benchmark that gave it.
"""

import math
from dataclasses import dataclass

__all__ = ["MEASURED", "SCENARIOS", "Measured", "Need", "ObjectShape", "Scenario", "need"]

GB = 10**9
SECONDS_PER_HOUR = 3600.0

# Formats: service.core.state.object_state (object_state, history, summary), service.core.alerts.
STATE_HEAD, ROW, ENTRY_HEAD, SUMMARY_HEAD, FLOAT = 88, 30, 44, 64, 4


@dataclass(frozen=True, slots=True)
class Measured:
    """What benchmarks gave on the machine named in docs/sizing.md.

    Attributes
    ----------
    worker_us_per_alert
        Processor time of a worker for an LSST packet, Kafka to Kafka: ``python -m tests.benchmarks workers``.
    redis_us_per_alert
        Processor time of the server for reading, writing and indexing one object, in small batches, which
        cost more than large ones: ``... population``.
    overhead_bytes_per_object
        Keys, index and bookkeeping: ``... population``.
    result_bytes
        One record of the output topic, JSON, before compression.
    archive_bytes_per_value_byte
        Parquet, by the bytes of the states in it: ``nightjar export``.
    worker_memory_bytes
        Resident, with both models.
    """

    worker_us_per_alert: float
    redis_us_per_alert: float
    overhead_bytes_per_object: float
    result_bytes: float
    archive_bytes_per_value_byte: float
    worker_memory_bytes: float


@dataclass(frozen=True, slots=True)
class ObjectShape:
    """The mean object.

    Attributes
    ----------
    observations, results
        Stored with it.
    classes, hidden
        Of its model: classes, and numbers of the network's state.
    """

    observations: float
    results: float
    classes: int = 10
    hidden: int = 200

    @property
    def value_bytes(self) -> float:
        """Length of its state."""
        entry = ENTRY_HEAD + 2 * FLOAT * self.classes
        return STATE_HEAD + FLOAT * self.hidden + ROW * self.observations + entry * self.results

    @property
    def summary_bytes(self) -> float:
        """Length of its summary."""
        return SUMMARY_HEAD + FLOAT * self.classes

    def stored_bytes(self, measured: Measured) -> float:
        """Memory it takes in Redis."""
        return self.value_bytes + self.summary_bytes + measured.overhead_bytes_per_object


@dataclass(frozen=True, slots=True)
class Scenario:
    """What comes in, and what is kept.

    Attributes
    ----------
    alerts_hz
        Mean over the hours of a night; bursts wait in Kafka.
    night_hours
        Of observing a day.
    packet_bytes
        Mean length of an alert.
    objects
        Stored at a time: those with an alert within the expiry.
    shape
        The mean one of them.
    years
        Of results that are archived.
    source_days, output_days
        How long Kafka keeps alerts and results.
    copies
        Of each Kafka partition.
    """

    name: str
    alerts_hz: float
    night_hours: float
    packet_bytes: float
    objects: float
    shape: ObjectShape
    years: float = 1.0
    source_days: float = 7.0
    output_days: float = 30.0
    copies: int = 3

    @property
    def alerts_a_night(self) -> float:
        """Alerts of one night."""
        return self.alerts_hz * self.night_hours * SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Need:
    """What it takes."""

    workers: int
    worker_cores: float
    worker_memory_gb: float
    partitions: int
    kafka_in_mb_s: float
    kafka_disk_tb: float
    redis_data_gb: float
    redis_masters: int
    redis_memory_gb: float
    redis_cores: float
    archive_tb: float


# Half of a core is left free, for bursts and for what has to be done again after a failure.
UTILISATION = 0.5
# More partitions than workers, so that they can be shared evenly and more workers added.
PARTITIONS_PER_WORKER = 4
LEAST_PARTITIONS = 16
# Pages that change while a child writes the file, buffers, fragmentation; and one replica of each master.
REDIS_HEADROOM = 1.5
REDIS_COPIES = 2
# A server of this size is copied within minutes, and its file is rewritten in one.
MASTER_BYTES = 25 * GB


def need(scenario: Scenario, measured: Measured) -> Need:
    """Compute what a stream takes.

    Parameters
    ----------
    scenario
        The stream.
    measured
        What one alert and one object take.
    """
    cores = scenario.alerts_hz * measured.worker_us_per_alert * 1e-6
    workers = max(2, math.ceil(cores / UTILISATION))
    data = scenario.objects * scenario.shape.stored_bytes(measured)
    redis_cores = scenario.alerts_hz * measured.redis_us_per_alert * 1e-6
    masters = max(1, math.ceil(data / MASTER_BYTES), math.ceil(redis_cores / UTILISATION))
    source = scenario.alerts_a_night * scenario.packet_bytes * scenario.source_days
    output = scenario.alerts_a_night * measured.result_bytes * scenario.output_days
    kept = scenario.objects * scenario.shape.value_bytes * measured.archive_bytes_per_value_byte
    return Need(
        workers=workers,
        worker_cores=cores,
        worker_memory_gb=workers * measured.worker_memory_bytes / GB,
        partitions=max(LEAST_PARTITIONS, 2 ** math.ceil(math.log2(PARTITIONS_PER_WORKER * workers))),
        kafka_in_mb_s=scenario.alerts_hz * (scenario.packet_bytes + measured.result_bytes) / 1e6,
        kafka_disk_tb=scenario.copies * (source + output) / 1e12,
        redis_data_gb=data / GB,
        redis_masters=masters,
        redis_memory_gb=data * REDIS_HEADROOM * REDIS_COPIES / GB,
        redis_cores=redis_cores,
        archive_tb=kept * scenario.years / 1e12,
    )


MEASURED = Measured(
    worker_us_per_alert=220.0,
    redis_us_per_alert=71.0,
    overhead_bytes_per_object=670.0,
    result_bytes=1114.0,
    archive_bytes_per_value_byte=0.93,
    worker_memory_bytes=295e6,
)

# ZTF: 0.2 to 1.2 million alerts a night of 72 kB. LSST: 10 million a night in 10 h, of 110 kB in the first
# year, when histories are short, and twice that once they are a year long everywhere. Objects: those with an
# alert in 400 days; most have few.
SCENARIOS = (
    Scenario("ZTF", 20.0, 9.0, 72e3, 15e6, ObjectShape(30, 12, classes=7)),
    Scenario("LSST, year 1", 280.0, 10.0, 110e3, 60e6, ObjectShape(25, 8)),
    Scenario("LSST, year 10", 280.0, 10.0, 220e3, 200e6, ObjectShape(60, 15), years=10.0),
    Scenario("100 x LSST", 28_000.0, 10.0, 220e3, 20e9, ObjectShape(60, 15), years=10.0),
)
