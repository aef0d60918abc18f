import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.decoding.wire.shipped import shipped_schema
from tests.decoding.packets import (
    body,
    container,
    elasticc,
    elasticc_bytes,
    lsst,
    lsst_bytes,
    lsst_source,
    ztf,
    ztf_bytes,
    ztf_prv,
)


def decode(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service", "decode", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def packets(tmp_path: Path) -> list[Path]:
    values = [
        ztf_bytes(ztf(prv=[ztf_prv(jd=2459405.5, fid=2, pid=8, diffmaglim=20.0)], drb=0.75)),
        lsst_bytes(lsst(source=lsst_source(reliability=0.5))),
        elasticc_bytes(elasticc()),
    ]
    paths = []
    for number, value in enumerate(values):
        paths.append(tmp_path / f"{number}.avro")
        paths[-1].write_bytes(value)
    return paths


def test_each_alert_is_one_line_of_json_with_its_survey_told_by_its_bytes(packets: list[Path]) -> None:
    done = decode(*packets)
    assert done.returncode == 0, done.stderr
    assert [alert["survey"] for alert in lines(done)] == ["ztf", "lsst", "elasticc"]
    assert [alert["object_id"] for alert in lines(done)] == ["ZTF21abiuvdk", "170028500552515710", "11953671"]


def test_a_line_holds_observations_and_context_in_common_units(packets: list[Path]) -> None:
    (alert,) = lines(decode(packets[1]))
    assert alert == {
        "survey": "lsst",
        "object_id": "170028500552515710",
        "alert_id": 170239611403501617,
        "ra_deg": 148.7,
        "dec_deg": 1.7,
        "mjd_tai": 61138.08,
        "band": "i",
        "observations": [
            {
                "mjd_tai": 61138.08,
                "band": "i",
                "flux_njy": 1234.5,
                "flux_err_njy": 100.25,
                "kind": "detection",
                "source_id": 170239611403501617,
            }
        ],
        "context": {
            "real_bogus": 0.5,
            "star_galaxy": None,
            "star_distance_arcsec": None,
            "redshift": None,
            "redshift_err": None,
            "mwebv": None,
            "is_solar_system": False,
        },
    }


def test_kinds_are_named(packets: list[Path]) -> None:
    (alert,) = lines(decode(packets[0]))
    assert [row["kind"] for row in alert["observations"]] == ["upper_limit", "detection"]


def test_a_container_of_two_records_gives_two_lines(tmp_path: Path) -> None:
    records = [lsst(source=lsst_source(diaSourceId=number)) for number in (1, 2)]
    path = tmp_path / "two.avro"
    path.write_bytes(container(shipped_schema("lsst", "10.0"), *records))
    assert [alert["alert_id"] for alert in lines(decode(path))] == [1, 2]


def test_files_that_cannot_be_read_are_named_with_the_cause_and_the_rest_goes_on(
    packets: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.avro"
    broken.write_bytes(packets[0].read_bytes()[:-20])
    done = decode(broken, tmp_path / "absent.avro", tmp_path, packets[2])
    assert done.returncode == 1
    assert [alert["survey"] for alert in lines(done)] == ["elasticc"]
    complaints = done.stderr.splitlines()
    assert len(complaints) == 3
    assert f"{broken}: malformed:" in complaints[0]
    assert "absent.avro: No such file" in complaints[1]
    assert f"{tmp_path}: Is a directory" in complaints[2]


def test_further_schemas_come_from_a_directory(tmp_path: Path) -> None:
    schema = shipped_schema("elasticc", "0.9.1")
    schema["fields"].insert(0, {"name": "more", "type": "string"})
    (tmp_path / "own.avsc").write_bytes(orjson.dumps(schema))
    path = tmp_path / "own.avro"
    path.write_bytes(body(schema, elasticc("0.9.1") | {"more": "text"}))
    assert decode(path).returncode == 1
    assert len(lines(decode("--schemas", tmp_path, path))) == 1
