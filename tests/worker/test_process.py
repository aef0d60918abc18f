"""A batch gives one result per alert, the same ones however the stream is cut, repeated or raced."""

from io import BytesIO
from typing import Any

import fastavro
import numpy as np
import pytest
from redis import Redis

from service.core.alerts import Survey
from service.core.ports.messages import SourceMessage
from tests.support.service import light_curves, stored_observations, stored_states
from tests.support.streams import container_of, simulated_packets
from tests.worker.batches import STREAM, another_database, object_with_alerts, process, read, results
from tests.worker.conftest import ProcessorFactory


def test_every_alert_has_one_result_and_the_counts_agree(make_processor: ProcessorFactory) -> None:
    batch = make_processor().process(STREAM)

    assert len(results([batch.outgoing])) == len(STREAM)
    by_place = dict.fromkeys(batch.consumed, 0)
    for outcome, count in batch.outcomes.items():
        by_place[outcome.topic, outcome.partition] += count
    assert by_place == batch.consumed
    assert sum(by_place.values()) == len(STREAM)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_results_do_not_depend_on_how_the_stream_is_cut(
    make_processor: ProcessorFactory, redis_url: str, size: int
) -> None:
    whole = process(make_processor(), STREAM, len(STREAM))
    cut = process(make_processor(redis_url=another_database(redis_url)), STREAM, size)

    assert cut == whole
    assert light_curves(another_database(redis_url)) == light_curves(redis_url)


def test_order_of_arrival_leaves_no_trace_in_the_light_curves(
    make_processor: ProcessorFactory, redis_url: str
) -> None:
    shuffled = [STREAM[i] for i in np.random.default_rng(1).permutation(len(STREAM))]

    process(make_processor(), STREAM, 64)
    other = make_processor(redis_url=another_database(redis_url))
    process(other, shuffled, 64)
    process(other, STREAM[:20], 64)

    assert light_curves(another_database(redis_url)) == light_curves(redis_url)


def test_replay_gives_the_same_records_and_changes_nothing_in_the_store(
    make_processor: ProcessorFactory, redis_url: str
) -> None:
    made = make_processor()
    first = made.process(STREAM)
    client = Redis.from_url(redis_url)
    before = {key: client.get(key) for key in client.scan_iter("nj:{*}")}

    again = made.process(STREAM)

    assert results([again.outgoing]) == results([first.outgoing])
    for one, other in zip(first.outgoing, again.outgoing, strict=True):
        times, times_again = read(one)["timestamps"], read(other)["timestamps"]
        assert times_again["classified"] == times["classified"]
        assert times_again["alert_published"] == times["alert_published"]
    assert {key: client.get(key) for key in client.scan_iter("nj:{*}")} == before
    client.close()


def test_repeated_alert_within_a_batch_has_the_same_result_each_time(
    make_processor: ProcessorFactory,
) -> None:
    message = STREAM[5]
    again = message._replace(offset=message.offset + 1000)

    batch = make_processor().process([message, again])

    one, other = batch.outgoing
    assert one.value == other.value
    assert dict(one.headers)["source"] != dict(other.headers)["source"]


def test_results_survive_a_change_of_model(make_processor: ProcessorFactory) -> None:
    first = make_processor().process(STREAM)

    # ZTF's alerts were classified by a model that this worker only knows from the store.
    again = make_processor(ztf_model="").process(STREAM)

    assert results([again.outgoing]) == results([first.outgoing])


def test_result_of_a_model_nobody_remembers_is_made_anew(
    make_processor: ProcessorFactory, redis_url: str
) -> None:
    ztf = [message for message in STREAM if message.topic == "ztf"]
    make_processor().process(ztf)
    client = Redis.from_url(redis_url)
    client.delete("nj:models")
    client.close()

    batch = make_processor(ztf_model="").process(ztf)

    assert {outcome.detail for outcome in batch.outcomes} == {"no_model"}


def test_survey_without_a_model_is_answered_by_abstaining(make_processor: ProcessorFactory) -> None:
    ztf = [message for message in STREAM if message.topic == "ztf"]

    batch = make_processor(ztf_model="").process(ztf)

    records = [read(message) for message in batch.outgoing]
    assert {record["reason"] for record in records} == {"no_model"}
    assert {record["classifier"] for record in records} == {None}
    assert max(record["n_observations"] for record in records) > 5


def test_alert_below_a_set_score_is_stored_but_not_classified(
    make_processor: ProcessorFactory, redis_url: str
) -> None:
    make_processor(redis_url=another_database(redis_url)).process(STREAM)

    batch = make_processor(min_real_bogus=1.0, max_star_score=0.0).process(STREAM)

    assert {outcome.detail for outcome in batch.outcomes} == {"low_real_bogus"}
    records = [read(message) for message in batch.outgoing]
    assert {record["classifier"]["name"] for record in records} == {"ztf-test", "lsst-test"}
    assert light_curves(redis_url) == light_curves(another_database(redis_url))


def test_alert_that_comes_late_is_classified_as_of_its_own_time(
    make_processor: ProcessorFactory, redis_url: str
) -> None:
    first, late, *later = object_with_alerts(5)
    made = make_processor()
    made.process([first, *later])

    (message,) = made.process([late]).outgoing

    record = read(message)
    (rows,) = stored_observations(redis_url).values()
    assert record["n_observations"] == np.count_nonzero(rows["mjd_tai"] <= record["mjd_tai"]) < len(rows)


def test_history_keeps_the_latest_and_no_more(make_processor: ProcessorFactory, redis_url: str) -> None:
    make_processor(history_length=3).process(STREAM)

    lengths = [len(state.history) for state in stored_states(redis_url).values()]

    assert max(lengths) == 3


def test_stored_value_that_cannot_be_read_is_replaced(
    make_processor: ProcessorFactory, redis_url: str
) -> None:
    made = make_processor()
    first = made.process(STREAM)
    client = Redis.from_url(redis_url)
    client.set(next(iter(client.scan_iter("nj:{*}"))), b"\x00" * 40)
    client.close()

    again = made.process(STREAM)

    assert results([again.outgoing]) == results([first.outgoing])
    assert all(len(state.observations) for state in stored_states(redis_url).values())


def test_container_of_several_alerts_gives_a_result_for_each(make_processor: ProcessorFactory) -> None:
    packets = [value for survey, value in simulated_packets()[:60] if survey is Survey.ZTF][:3]
    message = SourceMessage("ztf", 2, 17, 0, None, container_of(packets))

    batch = make_processor().process([message])

    assert [message.headers for message in batch.outgoing] == [
        [("source", b"ztf:2:17"), ("record", str(index).encode())] for index in range(3)
    ]
    assert batch.consumed == {("ztf", 2): 3}


def test_rejected_message_becomes_a_dead_letter_with_its_own_bytes(make_processor: ProcessorFactory) -> None:
    broken = SourceMessage("ztf", 0, 5, 0, b"its key", b"Obj\x01 and then nothing sensible")
    nothing = SourceMessage("lsst", 1, 6, 0, None, None)

    batch = make_processor().process([broken, *STREAM[:3], nothing])

    letter, empty = batch.outgoing[-2:]
    assert (letter.topic.split("-")[0], letter.key, letter.value) == ("rejected", broken.key, broken.value)
    headers = dict(letter.headers)
    assert headers["source"] == b"ztf:0:5"
    assert headers["error_class"] in {b"malformed", b"framing", b"schema"}
    assert headers["error_message"]
    assert headers["service_version"]
    assert (empty.value, dict(empty.headers)["error_class"]) == (None, b"empty")
    assert sum(batch.consumed.values()) == 5


def test_elasticc_records_go_to_descs_topic_and_ztfs_do_not(make_processor: ProcessorFactory) -> None:
    batch = make_processor(desc_topic="desc").process(STREAM)

    sources = [dict(message.headers)["source"] for message in batch.outgoing if message.topic == "desc"]
    assert sources == [message.source.encode() for message in STREAM if message.topic == "lsst"]


def test_two_packets_of_one_alert_leave_the_same_light_curve_in_either_order(
    make_processor: ProcessorFactory, redis_url: str
) -> None:
    full = next(m for m in reversed(STREAM) if m.topic == "ztf" and m.value is not None)
    bare = full._replace(value=_without_history(full.value or b""), offset=full.offset + 1000)

    one = make_processor()
    first, second = results([one.process([bare]).outgoing]), results([one.process([full]).outgoing])
    other = make_processor(redis_url=another_database(redis_url))
    process(other, [full, bare], 2)

    assert list(first.values()) == list(second.values())  # what was said of an alert stays
    assert light_curves(another_database(redis_url)) == light_curves(redis_url)
    (state,) = stored_states(redis_url).values()
    assert len(state.observations) > 1
    assert len(state.history) == 1


def _without_history(packet: bytes) -> bytes:
    reader = fastavro.reader(BytesIO(packet))
    records: list[Any] = list(reader)
    for record in records:
        record.update({"prv_candidates": None, "fp_hists": None})
    output = BytesIO()
    fastavro.writer(output, reader.writer_schema, records)
    return output.getvalue()
