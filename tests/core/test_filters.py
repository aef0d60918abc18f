"""Filters decide by the result and by what its object was before, and always the same."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from service.core.alerts import Survey
from service.core.records.result_batch import Vocabulary, result_batch
from service.core.search.criteria import Criteria
from service.core.search.filters import FilterSpec, read_filter, write_filter
from service.core.sky import Cone
from service.core.state.object_state import ObjectState, encode_state
from tests.support.results import Epoch, object_after, record

IA, II, UNSURE, NOTHING = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.4, 0.35, 0.25), ()
FAINT, BRIGHT = 1_000.0, 10_000.0


def passing(spec: FilterSpec, epochs: Sequence[Epoch], state: ObjectState | None = None) -> list[int]:
    """Numbers of the alerts that pass, when all are looked at after the last."""
    known = state or object_after(epochs)
    blob = encode_state(dataclasses.replace(known, counter=1))
    records = [record("ZTF21aaaaaaa", number, epoch) for number, epoch in enumerate(epochs, start=1)]
    batch = result_batch(records, lambda keys: [blob] * len(keys), Vocabulary())
    return [number for number, passes in enumerate(spec.mask(batch).tolist(), start=1) if passes]


def spec(**options: Any) -> FilterSpec:
    names = {field.name for field in dataclasses.fields(FilterSpec)}
    own = {name: value for name, value in options.items() if name in names}
    return FilterSpec("some", Criteria(**{k: v for k, v in options.items() if k not in names}), **own)


def of(*vectors: Sequence[float]) -> list[Epoch]:
    return [Epoch(BRIGHT, vector) for vector in vectors]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (spec(class_name="Ia"), [2, 3, 4, 6]),
        (spec(class_name="Ia", min_probability=0.5), [2, 4, 6]),
        (spec(class_name="II", min_probability=0.3), [3, 5]),
        (spec(min_probability=0.5), [2, 4, 5, 6]),
        (spec(class_name="Ia", min_probability=0.5, first_time=True), [2]),
        (spec(class_name="II", first_time=True), [5]),
        (spec(class_name="Ia", stable_epochs=3), [4]),
        (spec(stable_epochs=2), [3, 4]),
        (spec(class_name="Ia", stable_epochs=4), []),
    ],
)
def test_conditions_on_the_class_hold_as_of_the_alert(wanted: FilterSpec, expected: list[int]) -> None:
    assert passing(wanted, of(NOTHING, IA, UNSURE, IA, II, IA)) == expected


def test_rising_is_brighter_than_before_in_the_same_band() -> None:
    fluxes = [(FAINT, 1), (BRIGHT, 2), (BRIGHT, 1), (BRIGHT + 200, 1), (BRIGHT, 2), (BRIGHT + 600, 1)]
    epochs = [Epoch(flux, IA, band) for flux, band in fluxes]
    assert passing(spec(rising=True), epochs) == [3, 6]


def test_a_filter_with_criteria_of_place_and_light_passes_what_fits() -> None:
    epochs = [Epoch(FAINT, IA), Epoch(BRIGHT, IA)]
    assert passing(spec(max_mag=22.0), epochs) == [2]
    assert passing(spec(min_detections=2), epochs) == [2]
    assert passing(spec(cone=Cone(150.0, 2.0, 0.01)), epochs) == [1, 2]
    assert passing(spec(cone=Cone(151.0, 2.0, 0.01)), epochs) == []
    assert passing(spec(surveys=(Survey.LSST,)), epochs) == []


@pytest.mark.parametrize("seen", [2, 3, 5, 6])
def test_a_result_passes_or_fails_whenever_it_is_looked_at(seen: int) -> None:
    epochs = [
        Epoch(flux, vector)
        for flux, vector in zip([FAINT, BRIGHT] * 3, [NOTHING, IA, UNSURE, IA, II, IA], strict=True)
    ]
    for wanted in (
        spec(class_name="Ia", first_time=True),
        spec(stable_epochs=2),
        spec(rising=True),
        spec(max_mag=22.0),
    ):
        early = passing(wanted, epochs[:seen])
        assert early == [number for number in passing(wanted, epochs) if number <= seen]


def test_what_is_not_known_does_not_pass() -> None:
    other = object_after(of(II, II))
    forgetful = dataclasses.replace(other, history=other.history[:0], observations=other.observations[:0])
    epochs = of(IA, IA)
    for wanted in (spec(stable_epochs=1), spec(rising=True), spec(class_name="Ia", first_time=True)):
        assert passing(wanted, epochs, forgetful) == []
    assert passing(spec(class_name="Ia"), epochs, forgetful) == [1, 2]


def test_a_filter_reads_back_as_it_was_stored() -> None:
    full = spec(
        surveys=(Survey.ZTF, Survey.LSST),
        class_name="Ia",
        min_probability=0.5,
        max_mag=19.5,
        cone=Cone(1.0, 2.0, 3.0),
        rising=True,
        stable_epochs=2,
        first_time=True,
        description="words",
    )
    for one in (full, spec(min_detections=3)):
        assert read_filter(orjson.loads(orjson.dumps(write_filter(one)))) == one


def test_filters_are_stored_under_the_names_that_earlier_versions_read() -> None:
    stored = orjson.loads(
        b'{"name":"bright","criteria":{"surveys":["ztf"],"class_name":"Ia","min_probability":0.5,'
        b'"since_mjd_tai":null,"until_mjd_tai":null,"min_detections":3,"min_magnitude":15.0,'
        b'"max_magnitude":19.0,"cone":{"ra_deg":10.0,"dec_deg":-5.0,"radius_deg":0.5}},"rising":true,'
        b'"stable_epochs":2,"first_time":true,"description":"Bright"}'
    )
    read = read_filter(stored)
    assert (read.criteria.min_mag, read.criteria.max_mag) == (15.0, 19.0)
    assert orjson.loads(orjson.dumps(write_filter(read))) == stored
