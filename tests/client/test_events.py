import pytest

from service.client.events import Event, read_events


@pytest.mark.parametrize(
    ("lines", "events"),
    [
        (["data: a", ""], [Event("message", "a", "")]),
        (["event: x", "id: 7", "data: a", "data:b", ""], [Event("x", "a\nb", "7")]),
        ([": heartbeat", "", "data: a", ""], [Event("message", "a", "")]),
        ([": heartbeat", "id: 8", ""], [Event("message", "", "8")]),
        (["id: 7", "data: a", "", "data: b", ""], [Event("message", "a", "7"), Event("message", "b", "7")]),
        (["event: x", "", "data: a", ""], [Event("message", "a", "")]),
        (["data: cut off"], []),
        (["retry: 2000", "data:  two spaces", ""], [Event("message", " two spaces", "")]),
        (["id: a\0b", "data: a", ""], [Event("message", "a", "")]),
    ],
)
def test_events_are_read_as_the_standard_has_them(lines: list[str], events: list[Event]) -> None:
    assert list(read_events(lines)) == events


def test_a_stream_that_goes_on_knows_where_it_was() -> None:
    assert [event.last_id for event in read_events(["data: a", ""], "41")] == ["41"]
