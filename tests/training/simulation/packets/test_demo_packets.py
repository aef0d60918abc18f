"""The packets that come with the service are those of the documented command."""

import tarfile
from pathlib import Path

from service.core.alerts import Survey
from service.decoding.decoder import Decoder, RawMessage
from service.decoding.wire.schemas import SchemaStore
from training.scripts import packets

ARCHIVE = Path(__file__).parents[4] / "service" / "tools" / "demo" / "demo_packets.tar.xz"


def contents(archive: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(archive) as files:
        members = [(member.name, files.extractfile(member)) for member in files]
        return [(name, file.read()) for name, file in members if file is not None]


def test_the_command_makes_the_shipped_packets_again(tmp_path: Path) -> None:
    made = tmp_path / "demo.tar.xz"
    packets.main(packets.Configuration(made, objects=20, seed=1))
    again, shipped = contents(made), contents(ARCHIVE)
    assert [name for name, _ in again] == [name for name, _ in shipped]
    sizes = [(len(a), len(b)) for (_, a), (_, b) in zip(again, shipped, strict=True)]
    # Sizes and not bytes: the last digit of a logarithm differs between processors.
    assert all(abs(a - b) <= 64 for a, b in sizes)


def test_the_shipped_packets_are_small_and_of_both_surveys() -> None:
    assert ARCHIVE.stat().st_size < 3_000_000
    messages = [value for _, value in contents(ARCHIVE)]
    batch = Decoder(SchemaStore()).decode([RawMessage(value, Survey.ELASTICC) for value in messages])
    assert batch.rejected == ()
    assert set(batch.alerts.survey) == {Survey.ZTF, Survey.LSST}
    assert len(set(batch.alerts.object_id)) >= 40
    assert batch.alerts.is_solar_system.sum() >= 2
    assert list(batch.alerts.mjd_tai) == sorted(batch.alerts.mjd_tai)
