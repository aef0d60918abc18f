"""A consumer that reads a topic and discards: ``python -m tests.benchmarks._bare SERVERS TOPIC COUNT``.

With ``keep`` as fourth argument its allocator keeps freed memory as a worker's does.
"""

import json
import sys
import time

from confluent_kafka import Consumer

from service.kafka.options import consumer_options
from service.settings import Settings
from service.worker.allocator import keep_freed_memory
from tests.benchmarks._runs import START

CHUNK = 500


def main(servers: str, topic: str, count: int) -> None:
    """Read so many messages, with the options of our own consumer, and say what it took."""
    settings = Settings(bootstrap_servers=servers, group_id=f"bare-{time.time_ns()}")
    consumer = Consumer({**consumer_options(settings), "log_level": 0})
    consumer.subscribe([topic])
    n_read, clocks = 0, None
    while n_read < count:
        n_read += sum(message.error() is None for message in consumer.consume(CHUNK, 0.1))
        if clocks is None and n_read >= START * count:
            clocks, first = (time.perf_counter(), time.process_time()), n_read
    assert clocks is not None
    wall_s, cpu_s = time.perf_counter() - clocks[0], time.process_time() - clocks[1]
    n_timed = n_read - first
    sys.stdout.write(
        json.dumps({"alerts_per_s": n_timed / wall_s, "cpu_us_per_alert": cpu_s / n_timed * 1e6}) + "\n"
    )
    consumer.close()


if __name__ == "__main__":
    if "keep" in sys.argv:
        keep_freed_memory()
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
