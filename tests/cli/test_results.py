"""Published records are read back, filtered and printed as text."""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from service.client.subscription import RecordCriteria
from service.client.subscription import parse_record as parse_in_client
from service.core.alerts import Survey
from service.core.records.encoding import encode_avro, encode_json
from service.core.records.published import parse_record, top_class
from service.core.search.criteria import Criteria
from service.errors import InputError
from service.tools.listen import RecordSelection, record_line

Record = dict[str, Any]


def record(**values: Any) -> Record:
    probabilities = {"Ia": 0.7, "II": 0.2, "TDE": 0.1}
    return {
        "schema_version": "1.0",
        "survey": "ztf",
        "object_id": "ZTF21abiuvdk",
        "alert_id": 1642404680815015001,
        "ra_deg": 10.0,
        "dec_deg": -5.0,
        "mjd_tai": 59400.25,
        "band": "r",
        "n_detections": 7,
        "n_observations": 12,
        "status": "classified",
        "reason": None,
        "classifier": {"name": "ztf", "version": "1", "feature_version": 1},
        "classifications": [
            {"class_id": 2222 + index, "class_name": name, "probability": p, "raw_probability": p}
            for index, (name, p) in enumerate(probabilities.items())
        ],
        "timestamps": {"alert_published": 1_700_000_000_000, "ingested": 1, "classified": 1_700_000_000_500},
    } | values


ABSTAINED = record(status="abstained", reason="star", classifications=[], classifier=None)


@pytest.mark.parametrize("original", [record(), ABSTAINED])
def test_both_encodings_read_back(original: Record) -> None:
    (as_json,), (as_avro,) = encode_json([original]), encode_avro([original])
    assert parse_record(as_json) == original
    read = parse_record(as_avro)
    assert record_line(read).plain == record_line(original).plain
    assert [entry.pop("probability") for entry in read["classifications"]] == pytest.approx(
        [entry["probability"] for entry in original["classifications"]], abs=1e-7
    )
    left_out = {"classifications"}
    assert {k: v for k, v in read.items() if k not in left_out} == {
        k: v for k, v in original.items() if k not in left_out
    }


@pytest.mark.parametrize(
    "value", [b"", b"Obj\x01", b"{}", b"[1]", b'"x"', b'{"status": "other"}', b"\xc3\x01"]
)
def test_something_else_is_an_error_that_names_the_setting(value: bytes) -> None:
    with pytest.raises(InputError, match="NIGHTJAR_OUTPUT_TOPIC"):
        parse_record(value)


def chosen(
    classes: Sequence[str] = (),
    min_probability: float | None = None,
    surveys: Sequence[str] = (),
    status: str | None = None,
    object_ids: Sequence[str] = (),
) -> RecordSelection:
    """Return what ``nightjar listen`` prints with these options."""
    return RecordSelection(
        [
            Criteria(tuple(map(Survey, surveys)), class_name=name, min_probability=min_probability)
            for name in (*classes, *([] if classes else [None]))
        ],
        status or None,
        frozenset(object_ids),
    )


CHOICES: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"classes": ["Ia"]}, True),
    ({"classes": ["II"]}, False),
    ({"classes": ["II"], "min_probability": 0.2}, True),
    ({"classes": ["II"], "min_probability": 0.3}, False),
    ({"classes": ["TDE"], "min_probability": 0.01}, True),
    ({"classes": ["II", "Ia"], "min_probability": 0.7}, True),
    ({"min_probability": 0.7}, True),
    ({"min_probability": 0.71}, False),
    ({"surveys": ["lsst"]}, False),
    ({"surveys": ["lsst", "ztf"]}, True),
    ({"status": "abstained"}, False),
    ({"status": "classified"}, True),
    ({"object_ids": ["ZTF21abiuvdk"]}, True),
    ({"object_ids": ["ztf:ZTF21abiuvdk", "x"]}, True),
    ({"object_ids": ["lsst:ZTF21abiuvdk"]}, False),
    ({"object_ids": ["x"], "min_probability": 0.1}, False),
]


@pytest.mark.parametrize(("choice", "passes"), CHOICES)
def test_filter_lets_pass_what_fits_all_criteria(choice: dict[str, Any], passes: bool) -> None:
    assert chosen(**choice).select([record()]) == ([record()] if passes else [])


@pytest.mark.parametrize(("choice", "passes"), CHOICES)
@pytest.mark.parametrize("encode", [encode_json, encode_avro])
def test_the_client_chooses_the_same_records(
    choice: dict[str, Any], passes: bool, encode: Callable[[Sequence[Record]], list[bytes]]
) -> None:
    classes = choice.get("classes", [None])
    criteria = [
        RecordCriteria(
            surveys=frozenset(choice.get("surveys", ())),
            object_ids=frozenset(choice.get("object_ids", ())),
            statuses=frozenset([choice["status"]] if "status" in choice else ()),
            class_name=name,
            min_probability=choice.get("min_probability"),
        )
        for name in classes
    ]
    published = parse_in_client(encode([record()])[0])
    assert any(each.passes(published) for each in criteria) is passes


def test_abstention_has_no_class_and_passes_only_filters_without_one() -> None:
    assert top_class(ABSTAINED) == ("", 0.0)
    for choice, passes in (({}, True), ({"min_probability": 0.1}, False), ({"classes": ["TDE"]}, False)):
        assert bool(chosen(**choice).select([ABSTAINED])) is passes


def test_line_for_people_has_the_object_and_its_likeliest_classes() -> None:
    assert record_line(record()).plain == (
        "2023-11-14 22:13:20  ztf      ZTF21abiuvdk         "
        "Ia 0.70, II 0.20, TDE 0.10  mjd 59400.2500 r  7 detections"
    )
    assert "abstained: star" in record_line(ABSTAINED).plain


def test_records_here_have_the_form_that_is_published() -> None:
    assert orjson.loads(encode_json([record()])[0]) == record()
