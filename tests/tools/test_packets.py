"""Files in a directory become packets of the right survey, in the order of time."""

import shutil
import tarfile
from pathlib import Path

import pytest

from service.core.alerts import Survey
from service.errors import InputError
from service.tools.packets import find_packets, in_time_order, packets_of_archive
from tests.conftest import ROOT

WIRE = bytes([0]) + (1000).to_bytes(4, "big") + b"body"


def test_every_shared_packet_is_found_with_its_survey_and_alerts(shared: Path) -> None:
    found = find_packets([shared / "alerts"])
    for packet in found.packets:
        assert packet.survey.value == Path(packet.name).relative_to(shared / "alerts").parts[0]
    real = [packet for packet in found.packets if "synthetic" not in packet.name]
    assert len(real) == 345
    assert sum(packet.n_alerts for packet in real) == 358  # counts of the material's own README
    assert {path.suffix for path in found.skipped} == {".md", ".avsc", ".txt"}


def test_survey_is_told_by_content_where_names_say_nothing(shared: Path, tmp_path: Path) -> None:
    chosen = {
        Survey.ZTF: "ztf/3.3",
        Survey.LSST: "lsst/7.1/ocf",
        Survey.ELASTICC: "elasticc/0.9-prerelease/ocf",
    }
    for survey, directory in chosen.items():
        shutil.copy(next((shared / "alerts" / directory).glob("*.avro")), tmp_path / f"{survey}.avro")
    found = find_packets([tmp_path])
    assert {Path(packet.name).stem: packet.survey for packet in found.packets} == {
        survey.value: survey for survey in chosen
    }


@pytest.mark.parametrize(
    ("name", "value", "survey"),
    [
        ("any/a.avro", WIRE, Survey.LSST),
        ("any/no-suffix", WIRE, Survey.LSST),
        ("any/a.avro", b"bare body", Survey.ELASTICC),
        ("ztf/day/a.avro", b"damaged", Survey.ZTF),
        ("ztf/a.avro", b"", Survey.ZTF),
        ("lsst/a.avro", b"Obj\x01 cut off", Survey.LSST),
        ("any/a.avro", b'Obj\x01 cut off {"name": "candid"}', Survey.ZTF),
    ],
)
def test_damaged_and_unnamed_packets_go_to_the_likeliest_survey(
    tmp_path: Path, name: str, value: bytes, survey: Survey
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_bytes(value)
    (packet,) = find_packets([tmp_path]).packets
    assert (packet.survey, packet.n_alerts, packet.read()) == (survey, 1, value)


def test_other_files_and_hidden_ones_are_left_out(tmp_path: Path) -> None:
    for name in ("README.md", "schema.avsc", "list.json", ".hidden.avro", ".git/a.avro", "a.avro"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"content")
    found = find_packets([tmp_path])
    assert [Path(packet.name).name for packet in found.packets] == ["a.avro"]
    assert {path.name for path in found.skipped} == {"README.md", "schema.avsc", "list.json"}


def test_directory_without_packets_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        find_packets([tmp_path])


def test_missing_path_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file or directory: .*absent"):
        find_packets([tmp_path / "absent"])


def test_packets_are_sorted_by_the_time_of_their_alert_and_undecodable_ones_go_last(
    shared: Path, tmp_path: Path
) -> None:
    sequence = sorted((shared / "alerts/ztf/3.3/sequence-ZTF21abiuvdk").glob("*.avro"))
    for index, path in enumerate(reversed(sequence)):
        shutil.copy(path, tmp_path / f"{index:03d}-{path.name}")
    (tmp_path / "000-bad.avro").write_bytes(b"Obj\x01 nonsense")

    ordered = in_time_order(find_packets([tmp_path]).packets)

    assert len(ordered) == len(sequence) + 1
    # ZTF's candid grows with time.
    names = [Path(packet.name).name.split("-", 1)[1] for packet in ordered]
    assert names[:-1] == sorted(path.name for path in sequence)
    assert names[-1] == "bad.avro"


def test_archive_gives_its_packets_in_its_own_order(tmp_path: Path) -> None:
    for name in ("b.avro", "a.avro"):
        (tmp_path / name).write_bytes(WIRE + name.encode())
    with tarfile.open(tmp_path / "packets.tar.xz", "w:xz") as archive:
        for name in ("b.avro", "a.avro"):
            archive.add(tmp_path / name, f"lsst/{name}")
    packets = packets_of_archive(tmp_path / "packets.tar.xz").packets
    assert [packet.name for packet in packets] == ["lsst/b.avro", "lsst/a.avro"]
    assert [packet.read() for packet in packets] == [WIRE + b"b.avro", WIRE + b"a.avro"]


def test_alerts_of_the_demo_are_in_the_order_of_time() -> None:
    shipped = packets_of_archive(ROOT / "service/tools/demo/demo_packets.tar.xz")
    assert shipped.in_time_order
    assert in_time_order(shipped.packets) == shipped.packets
    assert set(shipped.surveys()) == {Survey.ZTF, Survey.LSST}
