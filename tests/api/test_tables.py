"""Tables hold what JSON holds, and tags spare clients what they have."""

import dataclasses
import io
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from astropy.io.votable import parse_single_table

from service.core.alerts import Kind, Survey
from service.core.classification import Reason
from service.core.models.info import ModelInfo
from service.decoding.light_curve_table import read_light_curve_table
from service.redis.store import RedisStore
from tests.api.test_objects import problem
from tests.support.objects import abstention, classification, object_state, put

KEY = "ztf:ZTF21abiuvdk"
MODEL = ModelInfo(7, Survey.ZTF, "some-model", "2.1", 1, ((2222, "Ia"), (2224, "II")))
HISTORY = [
    classification(1, 7, [0.25, 0.75], day=1),
    abstention(2, Reason.STAR, day=2),
    classification(3, 7, [0.875, 0.125], day=4),
]
PATHS = {
    "objects": "/v1/objects?survey=ztf&format=%s",
    "lightcurve": f"/v1/objects/{KEY}/lightcurve?format=%s",
    "classifications": f"/v1/objects/{KEY}/classifications?format=%s",
}

pytestmark = pytest.mark.usefixtures("known")

Rows = list[dict[str, Any]]


@pytest.fixture
def known(store: RedisStore) -> None:
    store.register_model(MODEL)
    put(store, KEY, object_state(HISTORY))


def read(form: str, body: bytes) -> Rows:
    match form:
        case "csv":
            rows: Rows = pyarrow.csv.read_csv(
                io.BytesIO(body), convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True)
            ).to_pylist()
        case "parquet":
            rows = pyarrow.parquet.read_table(io.BytesIO(body)).to_pylist()
        case _:
            table = parse_single_table(io.BytesIO(body)).to_table()
            rows = [{name: _plain(row[name]) for name in table.colnames} for row in table]
    return rows


def _plain(value: Any) -> Any:
    if np.ma.is_masked(value) or value == "":
        return None
    value = value.item() if isinstance(value, np.generic) else value
    return None if value != value else value


def as_text(value: Any) -> str:
    """Compare numbers as numbers, whatever type a format made of them."""
    if value is None or value == "":
        return ""
    try:
        return f"{float(str(value)):.6g}"
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(str(value)).replace(tzinfo=None).isoformat(timespec="milliseconds")
    except ValueError:
        return str(value)


def rows_of(client: httpx.Client, what: str) -> Rows:
    answer = client.get(PATHS[what] % "json").json()
    rows: Rows = answer[{"lightcurve": "observations", "classifications": "epochs"}.get(what, what)]
    return rows


@pytest.mark.parametrize("form", ["csv", "votable", "parquet"])
@pytest.mark.parametrize("what", list(PATHS))
def test_a_table_holds_what_json_holds(client: httpx.Client, form: str, what: str) -> None:
    expected = rows_of(client, what)
    answer = client.get(PATHS[what] % form)
    assert answer.status_code == 200, answer.text
    found = read(form, answer.content)
    assert len(found) == len(expected) > 0
    compared = 0
    for table_row, row in zip(found, expected, strict=True):
        for name, value in row.items():
            if name in table_row and not isinstance(value, dict | list):
                assert as_text(table_row[name]) == as_text(value), name
                compared += 1
    assert compared >= 8 * len(expected)


@pytest.mark.parametrize("form", ["csv", "votable", "parquet"])
def test_every_class_has_a_column(client: httpx.Client, form: str) -> None:
    [row] = read(form, client.get(PATHS["objects"] % form).content)
    assert (row["probability_Ia"], row["probability_II"]) == (0.875, 0.125)
    epochs = read(form, client.get(PATHS["classifications"] % form).content)
    assert [row["probability_Ia"] for row in epochs] == [0.25, None, 0.875]
    assert [row["raw_probability_Ia"] for row in epochs] == [0.75, None, 0.125]
    assert [row["classifier_name"] for row in epochs] == ["some-model", None, "some-model"]


@pytest.mark.parametrize("form", ["csv", "votable", "parquet"])
def test_many_objects_are_looked_up_as_a_table(client: httpx.Client, form: str) -> None:
    ids = {"ids": [KEY, "ZTF18abcdefg"]}
    [row] = read(form, client.post(f"/v1/objects/lookup?format={form}", json=ids).content)
    assert (row["id"], row["bands"], row["probability_Ia"]) == (KEY, "g r", 0.875)


def test_a_column_that_is_null_everywhere_is_there(client: httpx.Client, store: RedisStore) -> None:
    faint = object_state(HISTORY)
    rows = faint.observations.copy()
    rows["flux_njy"] = -100.0
    put(store, KEY, dataclasses.replace(faint, observations=rows))
    head = client.get(PATHS["lightcurve"] % "csv").text.splitlines()[0].replace('"', "").split(",")
    assert {"mag", "mag_err", "limiting_mag"} <= set(head)


def test_numbers_have_the_same_decimals_in_every_form(client: httpx.Client, store: RedisStore) -> None:
    history = [classification(1, 7, [0.1, 0.9], day=4)]
    put(store, KEY, object_state(history))
    for what in ("objects", "classifications"):
        assert ",0.1,0.9," in client.get(PATHS[what] % "csv").text


def test_ids_of_64_bits_stay_whole(client: httpx.Client) -> None:
    assert str(2**63 + 5) in client.get(PATHS["lightcurve"] % "csv").text
    for form, whole in (("parquet", 2**63 + 5), ("votable", str(2**63 + 5))):
        rows = read(form, client.get(PATHS["lightcurve"] % form).content)
        assert whole in [row["source_id"] for row in rows]


def test_columns_say_their_units_and_meaning(client: httpx.Client) -> None:
    table = parse_single_table(io.BytesIO(client.get(PATHS["lightcurve"] % "votable").content)).to_table()
    assert {name: str(table[name].unit) for name in ("mjd_tai", "flux_njy", "mag")} == {
        "mjd_tai": "d",
        "flux_njy": "nJy",
        "mag": "mag",
    }
    assert "MJD TAI" in table["mjd_tai"].description
    schema = pyarrow.parquet.read_schema(io.BytesIO(client.get(PATHS["lightcurve"] % "parquet").content))
    assert schema.field("flux_njy").metadata[b"unit"] == b"nJy"


def test_a_table_of_nothing_has_its_columns(client: httpx.Client) -> None:
    for form in ("csv", "votable", "parquet"):
        answer = client.get(f"/v1/objects?survey=lsst&format={form}")
        assert answer.status_code == 200
        assert b"last_alert_mjd_tai" in answer.content


def test_a_table_names_the_next_page(client: httpx.Client, store: RedisStore) -> None:
    put(store, "ztf:ZTF21abiuvdl", object_state(HISTORY))
    first = client.get("/v1/objects?limit=1&format=csv")
    following = first.links["next"]["url"]
    [row] = read("csv", client.get(following).content)
    assert row["id"] == KEY
    assert "next" not in client.get(following).links


def test_without_astropy_a_votable_is_a_problem_that_says_what_to_install(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "astropy.io.votable", None)
    document = problem(client.get(PATHS["objects"] % "votable"), 501, "format-unavailable")
    assert "install astropy" in (document.detail or "")
    problem(client.get(PATHS["objects"] % "fits"), 422, "invalid-request")


@pytest.mark.parametrize(
    "path",
    ["/v1/objects", f"/v1/objects/{KEY}", PATHS["lightcurve"] % "csv", PATHS["classifications"] % "json"],
)
def test_an_answer_that_is_still_the_same_is_not_sent_again(
    client: httpx.Client, store: RedisStore, path: str
) -> None:
    first = client.get(path)
    tag = first.headers["etag"]
    again = client.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert again.headers["cache-control"] == "no-cache"
    put(store, KEY, object_state([*HISTORY, classification(4, 7, [0.5, 0.5], day=4)]))
    changed = client.get(path, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


def test_forms_of_one_answer_have_tags_of_their_own(client: httpx.Client) -> None:
    tags = {client.get(PATHS["lightcurve"] % form).headers["etag"] for form in ("json", "csv", "parquet")}
    assert len(tags) == 3


def test_schemas_may_be_kept_for_a_while(client: httpx.Client) -> None:
    first = client.get("/v1/schemas/classification.json")
    assert first.headers["cache-control"] == "max-age=3600"
    headers = {"If-None-Match": first.headers["etag"]}
    assert client.get("/v1/schemas/classification.json", headers=headers).status_code == 304


@pytest.mark.parametrize(("form", "suffix"), [("csv", "csv"), ("parquet", "parquet")])
def test_light_curve_as_a_table_is_one_that_classify_reads(
    client: httpx.Client, tmp_path: Path, form: str, suffix: str
) -> None:
    path = tmp_path / f"curve.{suffix}"
    path.write_bytes(client.get(PATHS["lightcurve"] % form).content)
    wanted = client.get(PATHS["lightcurve"] % "json").json()["observations"]
    curves = read_light_curve_table(path)
    assert curves.object_id == ("ZTF21abiuvdk",)
    rows = curves.observations
    assert [Kind(kind).name.lower() for kind in rows["kind"]] == [one["kind"] for one in wanted]
    assert rows["mjd_tai"].tolist() == [one["mjd_tai"] for one in wanted]
