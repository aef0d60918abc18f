"""docs/sizing.md: its results follow from its inputs, and its inputs from formats and benchmarks."""

import dataclasses
import json
import re

import numpy as np
import pytest

from service.core.alerts import OBSERVATION
from service.core.state.history import History
from service.core.state.object_state import EMPTY_STATE, encode_state
from service.core.state.summary import summarise
from tests.support.objects import classification
from tests.support.sizing import PAGE, measured, object_bytes, state_bytes, streams, table_results

STREAMS = dict(streams())
# What is printed for a value of each size in the table: its last digit.
PRECISION = {
    "alerts per night": 0.01e6,
    "busy cores of the workers": 0.01,
    "memory of the workers": 0.1e9,
    "Kafka input": 0.1e6,
    "Kafka disk, three copies": 0.1e12,
    "Redis data": 1e9,
    "Redis memory, total": 1e9,
    "Redis busy cores": 0.01,
    "archive, Parquet": 0.01e12,
}


@pytest.mark.parametrize("name", STREAMS)
def test_results_of_a_stream_follow_from_the_inputs_on_the_page(name: str) -> None:
    printed = STREAMS[name]
    for row, value in table_results(printed, measured()).items():
        assert printed[row] == pytest.approx(value, abs=0.5001 * PRECISION.get(row, 0.0), rel=1e-9), row


def test_every_number_of_the_table_is_an_input_or_recomputed() -> None:
    stream = STREAMS["ZTF"]
    inputs = {
        "alerts per second",
        "hours per night",
        "packet",
        "stored objects",
        "observations per object",
        "results per object",
        "classes of the model",
        "archive, years",
    }
    assert stream.keys() == inputs | table_results(stream, measured()).keys()


def test_known_stream_takes_what_is_worked_out_by_hand() -> None:
    known = measured() | {
        "worker, processor time per alert": 500e-6,
        "Redis, processor time per alert": 100e-6,
        "Redis, overhead per object: keys, index, bookkeeping": 1000.0,
        "retention of alerts": 1.0,
        "retention of results": 0.0,
    }
    stream = STREAMS["ZTF"] | {
        "alerts per second": 2000.0,
        "hours per night": 5.0,
        "packet": 1e5,
        "stored objects": 1e7,
        "observations per object": 20.0,
        "results per object": 0.0,
        "classes of the model": 9.0,
    }
    results = table_results(stream, known)
    assert object_bytes(20, 0, 9, known) == (88 + 800 + 600) + (64 + 36) + 1000
    assert results["busy cores of the workers"] == 1.0
    assert (results["workers (one core each)"], results["partitions per topic"]) == (2, 16)
    assert results["Redis masters, one replica each"] == 2
    assert results["Kafka disk, three copies"] == pytest.approx(3 * 2000 * 5 * 3600 * 1e5)


@pytest.mark.parametrize(("n_rows", "n_results", "n_classes"), [(0, 0, 7), (20, 0, 7), (100, 64, 18)])
def test_bytes_of_an_object_are_those_of_its_format(n_rows: int, n_results: int, n_classes: int) -> None:
    results = [classification(1 + n, 1, [1 / n_classes] * n_classes) for n in range(n_results)]
    state = dataclasses.replace(
        EMPTY_STATE,
        hidden=np.zeros(200, np.float32),
        observations=np.zeros(n_rows, OBSERVATION),
        history=History.of(results),
    )
    known = measured()
    assert state_bytes(n_rows, n_results, n_classes, known) == len(encode_state(state))
    if n_results:
        summary = known["summary: header"] + known["summary, per class"] * n_classes
        assert summary == len(summarise([state]).stored()[0])


def test_page_gives_the_run_behind_its_values() -> None:
    recorded = re.search(r"```json\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert recorded
    run, known = json.loads(recorded[1]), measured()
    # The memory computed here is that of a real server, and what expired is gone from it.
    assert run["memory_ratio"] == pytest.approx(1.0, abs=0.1)
    assert run["keys_ratio"] == pytest.approx(1.0, abs=0.1)
    overhead = known["Redis, overhead per object: keys, index, bookkeeping"]
    assert run["overhead_bytes_per_object"] == pytest.approx(overhead, rel=0.25)
