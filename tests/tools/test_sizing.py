"""``nightjar sizing``: arithmetic that holds what it says, and a page that is what it writes."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.alerts import OBSERVATION
from service.core.state.history import History
from service.core.state.object_state import EMPTY_STATE, encode_state
from service.core.state.summary import summarise
from service.tools.sizing_model import MEASURED, SCENARIOS, ObjectShape, Scenario, need
from tests.support.command import nightjar
from tests.support.objects import classification

PAGE = Path(__file__).parents[2] / "docs" / "sizing.md"


@pytest.mark.parametrize(("n_rows", "n_results", "n_classes"), [(0, 0, 7), (20, 0, 7), (100, 64, 18)])
def test_bytes_of_an_object_are_those_of_its_format(n_rows: int, n_results: int, n_classes: int) -> None:
    results = [classification(1 + n, 1, [1 / n_classes] * n_classes) for n in range(n_results)]
    state = dataclasses.replace(
        EMPTY_STATE,
        hidden=np.zeros(200, np.float32),
        observations=np.zeros(n_rows, OBSERVATION),
        history=History.of(results),
    )
    shape = ObjectShape(n_rows, n_results, classes=n_classes, hidden=200)
    assert shape.value_bytes == len(encode_state(state))
    if n_results:
        assert shape.summary_bytes == len(summarise([state]).stored()[0])


@given(factor=st.floats(1.0, 1000.0), alerts_hz=st.floats(0.1, 1e4), objects=st.floats(1, 1e9))
def test_more_of_everything_never_needs_less(factor: float, alerts_hz: float, objects: float) -> None:
    small = Scenario("small", alerts_hz, 10.0, 1e5, objects, ObjectShape(20, 5))
    large = dataclasses.replace(small, alerts_hz=factor * alerts_hz, objects=factor * objects)
    few, many = need(small, MEASURED), need(large, MEASURED)
    for field in dataclasses.fields(few):
        assert getattr(many, field.name) >= getattr(few, field.name), field.name


@given(alerts_hz=st.floats(0.1, 1e5))
def test_partitions_are_enough_for_every_worker(alerts_hz: float) -> None:
    found = need(Scenario("any", alerts_hz, 10.0, 1e5, 1e6, ObjectShape(20, 5)), MEASURED)
    assert found.partitions >= 2 * found.workers
    assert found.partitions & (found.partitions - 1) == 0
    # Nobody is busier than half of a core.
    assert found.worker_cores <= found.workers / 2


def test_known_stream_takes_what_is_worked_out_by_hand() -> None:
    measured = dataclasses.replace(
        MEASURED, worker_us_per_alert=500.0, redis_us_per_alert=100.0, overhead_bytes_per_object=1000.0
    )
    shape = ObjectShape(20, 0, classes=9)
    stream = Scenario("by hand", 2000.0, 5.0, 1e5, 1e7, shape, source_days=1, output_days=0, copies=3)
    found = need(stream, measured)
    assert shape.stored_bytes(measured) == (88 + 800 + 600) + (64 + 36) + 1000
    assert (found.worker_cores, found.workers, found.partitions) == (1.0, 2, 16)
    assert found.redis_data_gb == pytest.approx(25.88)
    assert found.redis_masters == 2
    assert found.kafka_disk_tb == pytest.approx(3 * 2000 * 5 * 3600 * 1e5 / 1e12)


def test_page_is_what_the_command_writes() -> None:
    assert nightjar("sizing", "--markdown").stdout == PAGE.read_text()


def test_page_names_every_stream_and_the_run_behind_it() -> None:
    text = PAGE.read_text()
    for scenario in SCENARIOS:
        assert scenario.name in text
    recorded = re.search(r"```json\n(.*?)\n```", text, re.DOTALL)
    assert recorded
    run = json.loads(recorded[1])
    # The sizing's memory is that of a real server, and what expired is gone from it.
    assert run["memory_ratio"] == pytest.approx(1.0, abs=0.1)
    assert run["keys_ratio"] == pytest.approx(1.0, abs=0.1)
    assert run["overhead_bytes_per_object"] == pytest.approx(MEASURED.overhead_bytes_per_object, rel=0.25)


def test_command_answers_for_a_stream_of_ones_own() -> None:
    done = nightjar("sizing", "--alerts", "10000", "--objects", "1e9", "--worker-us", "500")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^workers +10: 5\.00 cores", done.stdout, re.MULTILINE)
