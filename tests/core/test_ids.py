import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.alerts import Survey, object_key
from service.core.ids import InvalidObjectIdError, parse_object_id

NUMBER = "169813245678901234"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ztf:ZTF21abiuvdk", ["ztf:ZTF21abiuvdk"]),
        ("ZTF21abiuvdk", ["ztf:ZTF21abiuvdk"]),
        (f"lsst:{NUMBER}", [f"lsst:{NUMBER}"]),
        ("elasticc:1", ["elasticc:1"]),
        (NUMBER, [f"lsst:{NUMBER}", f"elasticc:{NUMBER}"]),
        ("lsst:ss123", ["lsst:ss123"]),
        ("src9223372036854775808", ["lsst:src9223372036854775808"]),
    ],
)
def test_an_id_names_the_objects_it_may_mean(text: str, expected: list[str]) -> None:
    assert [object_key(*candidate) for candidate in parse_object_id(text)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "ztf:",
        "ztf:123",
        "lsst:ZTF21abiuvdk",
        "ZTF:ZTF21abiuvdk",
        "ztf:ztf:ZTF21abiuvdk",
        "ZTF21ABIUVDK",
        "ZTF21abiuvd",
        "ZTF21abiuvdkk",
        " ZTF21abiuvdk",
        "ZTF21abiuvdk\n",
        "0",
        "007",
        "-5",
        "1.0",
        "1e5",
        "१२३",
        "12345678901234567890",
        "elasticc:ss1",
        "ss",
        "other:1",
        "}{",
        "*",
    ],
)
def test_what_can_name_no_object_is_refused_with_the_forms_that_can(text: str) -> None:
    with pytest.raises(InvalidObjectIdError, match="ztf:ZTF21abiuvdk, lsst:"):
        parse_object_id(text)


@given(st.text(max_size=30))
def test_any_text_is_refused_or_gives_ids_that_mean_themselves(text: str) -> None:
    try:
        candidates = parse_object_id(text)
    except InvalidObjectIdError:
        return
    for survey, name in candidates:
        assert isinstance(survey, Survey)
        assert parse_object_id(object_key(survey, name)) == ((survey, name),)
