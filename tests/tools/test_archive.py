"""``nightjar export`` and ``import``: what comes back is, bit for bit, what was stored."""

import dataclasses
import io
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from redis import Redis

from service.archive.arrow_schema import StoredObject
from service.archive.files import night_of
from service.cli.app import main
from service.core.alerts import OBSERVATION, Survey
from service.core.classification import Classification, Reason
from service.core.models.info import ModelInfo
from service.core.search.criteria import Criteria
from service.core.search.filters import FilterSpec
from service.core.sky import Cone
from service.core.state.history import History
from service.core.state.object_state import EMPTY_STATE, ObjectState
from service.embedded.redis import EmbeddedRedis
from service.redis.store import RedisStore
from service.tools.importing import put_filters, put_objects, put_shadow_results
from tests.support.command import command_line, environment
from tests.support.redis_cluster import EmbeddedRedisCluster

LONG = os.environ.get("NIGHTJAR_LONG_TESTS", "") not in {"", "0"}
N_OBJECTS = 100_000 if LONG else 1_000
FIRST_MJD_TAI = 61_000.0
NOW_MS = round(datetime.now(UTC).timestamp() * 1000)

CLASSES = tuple((2200 + number, name) for number, name in enumerate(("Ia", "II", "TDE", "AGN")))
MODELS = [
    ModelInfo(7, Survey.ZTF, "small", "1.0", 3, CLASSES[:2]),
    ModelInfo(2**64 - 1, Survey.LSST, "large", "2.0", 3, CLASSES),
]
FILTERS = [
    FilterSpec("young-ia", Criteria(class_name="Ia", min_probability=0.8), first_time=True),
    FilterSpec("north", Criteria(surveys=(Survey.ZTF,), cone=Cone(10.0, 80.0, 5.0)), description="A cone"),
]
NOWHERE = "redis://127.0.0.1:1/0"


class Done(NamedTuple):
    """Exit code and messages of a command."""

    returncode: int
    stderr: str


def stored(url: str) -> dict[bytes, Any]:
    """Every object, summary and shadow result with its expiry; filters; every index, in any order."""
    client: Any = Redis.from_url(url)
    found: dict[bytes, Any] = {}
    for key in client.scan_iter("nj:*{*}*", count=1000):
        found[key] = client.get(key), client.pexpiretime(key)
    for key in client.scan_iter("nj:i:*"):
        found[key] = sorted(client.zrange(key, 0, -1, withscores=True))
    found[b"nj:filters"] = client.hgetall("nj:filters")
    client.close()
    return found


def nightjar(*arguments: str, NIGHTJAR_REDIS_URL: str = NOWHERE) -> Done:  # noqa: N803  as in the shell
    """Run a command in this process: a separate one takes seconds to start."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(said):
        patch.setenv("NIGHTJAR_REDIS_URL", NIGHTJAR_REDIS_URL)
        with pytest.raises(SystemExit) as ended:
            main(arguments)
    return Done(int(str(ended.value.code)), said.getvalue())


def connect(url: str) -> RedisStore:
    return RedisStore.connect(url, timeout=timedelta(seconds=20), expiry=timedelta(days=400))


def any_state(random: np.random.Generator) -> ObjectState:
    """A state that a worker could have stored: long or short, with or without results of other models."""
    n_rows = int(random.integers(0, 60))
    rows = np.frombuffer(random.bytes(n_rows * OBSERVATION.itemsize), OBSERVATION).copy()
    rows["mjd_tai"] = np.sort(random.uniform(0, 10, n_rows)) + FIRST_MJD_TAI
    rows["flux_njy"], rows["flux_err_njy"] = random.normal(1000.0, 500.0, (2, n_rows))
    rows["kind"] %= 3
    rows["band"] %= 6
    history = History()
    for place in random.permutation(len(MODELS))[: random.integers(0, 3)]:
        model = MODELS[place]
        n_classes = len(model.classes)
        made = [any_result(random, model.digest, n_classes) for _ in range(random.integers(1, 4))]
        # A short memory keeps the room of the larger model whose results it has dropped.
        history = history.appended(made, limit=3)
    return dataclasses.replace(
        EMPTY_STATE,
        counter=int(random.integers(1, 2**63)),
        model=MODELS[0].digest,
        hidden_step=n_rows,
        hidden=random.standard_normal(int(random.integers(0, 3)) * 100).astype("<f4"),
        ra_deg=random.uniform(0, 360),
        dec_deg=random.choice([random.uniform(-90, 90), np.nan]),
        last_alert_mjd_tai=FIRST_MJD_TAI + random.uniform(0, 10),
        redshift=float(np.float32(0.1)),
        observations=rows,
        history=history,
    )


def any_result(random: np.random.Generator, model: int, n_classes: int) -> Classification:
    is_classified = random.random() < 0.8
    vector = random.dirichlet(np.ones(n_classes)).astype(np.float32) if is_classified else np.empty(0, "f4")
    return Classification(
        alert_id=int(random.integers(0, 2**63)),
        mjd_tai=FIRST_MJD_TAI + random.uniform(0, 10),
        classified_at_ms=NOW_MS,
        n_detections=3,
        n_observations=9,
        reason=Reason.CLASSIFIED if is_classified else Reason.STAR,
        model=model if is_classified else 0,
        raw_probability=vector[::-1].copy(),
        probability=vector,
    )


def aside(random: np.random.Generator, one: StoredObject, model: ModelInfo) -> StoredObject:
    """Shadow results of an object: a history and nothing else."""
    made = [any_result(random, model.digest, len(model.classes)) for _ in range(2)]
    state = dataclasses.replace(EMPTY_STATE, counter=1, history=History().appended(made, limit=3))
    return StoredObject(one.key, state, one.expires_at_ms + 10**6)


@pytest.fixture(scope="module")
def full() -> Iterator[EmbeddedRedis]:
    """A server with objects of two surveys."""
    random = np.random.default_rng(11)
    with EmbeddedRedis() as server:
        store = connect(server.url)
        names = {model.digest: [name for _, name in model.classes] for model in MODELS}
        for model in MODELS:
            store.register_model(model)
        for start in range(0, N_OBJECTS, 1000):
            some = [
                StoredObject(
                    f"{'ztf:ZTF' if number % 2 else 'lsst:'}{number}",
                    any_state(random),
                    NOW_MS + 10**9 + number,
                )
                for number in range(start, min(start + 1000, N_OBJECTS))
            ]
            assert put_objects(store, some, names.__getitem__, replace=False) == len(some)
            for model, step in zip(MODELS, (3, 50), strict=True):
                answers = [aside(random, one, model) for one in some[::step]]
                put_shadow_results(store, model.digest, answers, replace=False)
        assert put_filters(store, FILTERS, replace=False) == len(FILTERS)
        store.close()
        yield server


@pytest.fixture(scope="module")
def archive(full: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("archive") / "export"
    done = nightjar("export", str(directory), NIGHTJAR_REDIS_URL=full.url)
    assert done.returncode == 0, done.stderr
    assert f"exported {N_OBJECTS} objects" in done.stderr
    sys.stdout.write(done.stderr)
    return directory


def test_states_expiry_and_index_are_the_same_after_export_and_import(
    full: EmbeddedRedis, archive: Path, redis_url: str
) -> None:
    done = nightjar("import", str(archive), NIGHTJAR_REDIS_URL=redis_url)
    assert done.returncode == 0, done.stderr
    assert f"imported {N_OBJECTS} objects" in done.stderr
    sys.stdout.write(done.stderr)
    assert stored(redis_url) == stored(full.url)
    store = connect(redis_url)
    assert store.models() == {model.digest: model for model in MODELS}
    assert store.filters.all() == sorted(FILTERS, key=lambda spec: spec.name)
    # What other models said of an object is there as well, and forgotten when it would have been.
    keys = ["ztf:ZTF3", "lsst:0"]
    assert all(store.for_model(MODELS[0].digest).load(keys))
    assert store.expiries(keys) == [NOW_MS + 10**9 + number for number in (3, 0)]
    store.close()


def test_shadow_results_are_read_from_the_folder_of_earlier_versions(
    full: EmbeddedRedis, archive: Path, redis_url: str, tmp_path: Path
) -> None:
    earlier = shutil.copytree(archive, tmp_path / "earlier")
    (earlier / "shadow").rename(earlier / "beside")
    done = nightjar("import", str(earlier), NIGHTJAR_REDIS_URL=redis_url)
    assert done.returncode == 0, done.stderr
    assert stored(redis_url) == stored(full.url)


def test_files_are_by_night_and_readable_by_themselves(archive: Path) -> None:
    files = sorted(archive.glob("objects/night=*/objects.parquet"))
    nights = [date.fromisoformat(path.parent.name.removeprefix("night=")) for path in files]
    assert nights[0] == night_of(FIRST_MJD_TAI) == date(2025, 11, 20)
    assert len(nights) == 11
    table = pq.read_table(files[4])
    # Noon to noon, twelve hours west of Greenwich.
    mjd_tai = table["last_alert_mjd_tai"].to_numpy()
    assert (np.floor(mjd_tai - 0.5) == FIRST_MJD_TAI + 3).all()
    row = next(curve for curve in table["light_curve"].to_pylist() if curve)[0]
    assert tuple(row) == OBSERVATION.names
    models = json.loads((archive / "models.json").read_text())
    assert {model["name"] for model in models} == {"small", "large"}
    assert [spec["name"] for spec in json.loads((archive / "filters.json").read_text())] == [
        "north",
        "young-ia",
    ]
    shadow = pq.read_table(next(archive.glob(f"shadow/model={7:016x}/night=*/objects.parquet")))
    assert set(shadow["object_id"].to_pylist()) <= {
        name for path in files for name in pq.read_table(path)["object_id"].to_pylist()
    }
    assert not list(archive.rglob("*.part"))


def test_what_the_store_has_is_left_alone_unless_it_is_to_be_replaced(
    full: EmbeddedRedis, archive: Path, redis_url: str
) -> None:
    client = Redis.from_url(redis_url)
    client.set("nj:{lsst:0}", b"something newer")
    done = nightjar("import", str(archive), NIGHTJAR_REDIS_URL=redis_url)
    assert "1 objects were kept as the store has them" in done.stderr
    assert client.get("nj:{lsst:0}") == b"something newer"
    done = nightjar("import", "--replace", str(archive), NIGHTJAR_REDIS_URL=redis_url)
    assert f"imported {N_OBJECTS} objects" in done.stderr
    assert stored(redis_url) == stored(full.url)
    client.close()


def test_filters_that_the_store_has_stay_and_those_removed_before_an_export_do_not_come_back(
    redis_url: str, tmp_path: Path
) -> None:
    store = connect(redis_url)
    put_objects(
        store, [StoredObject("ztf:a", any_state(np.random.default_rng(4)), 0)], lambda _: (), replace=True
    )
    put_filters(store, FILTERS, replace=True)
    assert nightjar("export", str(tmp_path), NIGHTJAR_REDIS_URL=redis_url).returncode == 0
    store.filters.remove("north")
    assert nightjar("export", str(tmp_path), NIGHTJAR_REDIS_URL=redis_url).returncode == 0

    newer = dataclasses.replace(FILTERS[0], rising=True)
    store.filters.put(newer)
    assert nightjar("import", str(tmp_path), NIGHTJAR_REDIS_URL=redis_url).returncode == 0
    assert store.filters.all() == [newer]
    assert nightjar("import", "--replace", str(tmp_path), NIGHTJAR_REDIS_URL=redis_url).returncode == 0
    assert store.filters.all() == [FILTERS[0]]
    store.close()
    (tmp_path / "filters.json").write_text('[{"name": "half"}]')
    done = nightjar("import", str(tmp_path), NIGHTJAR_REDIS_URL=redis_url)
    assert done.returncode == 2
    assert "filters.json was not written by an export" in done.stderr


def test_filters_and_objects_are_counted_apart(full: EmbeddedRedis, archive: Path) -> None:
    done = nightjar("import", str(archive), NIGHTJAR_REDIS_URL=full.url)
    imported, objects, filters = done.stderr.splitlines()
    assert imported.startswith("imported 0 objects in ")
    assert objects == f"{N_OBJECTS} objects were kept as the store has them"
    assert filters == f"imported 0 filters, {len(FILTERS)} were kept as the store has them"


def test_of_an_object_in_two_nights_the_newer_state_is_taken(redis_url: str, tmp_path: Path) -> None:
    store, random = connect(redis_url), np.random.default_rng(3)
    for day in (1.0, 2.0):
        state = dataclasses.replace(any_state(random), last_alert_mjd_tai=FIRST_MJD_TAI + day)
        put_objects(store, [StoredObject("ztf:a", state, 0)], lambda _: (), replace=True)
        done = nightjar("export", str(tmp_path), NIGHTJAR_REDIS_URL=redis_url)
        assert done.returncode == 0, done.stderr
    newest = stored(redis_url)
    assert len(list(tmp_path.glob("objects/night=*"))) == 2
    for options in ([], ["--replace"]):
        with Redis.from_url(redis_url) as client:
            client.flushall()
        assert nightjar("import", *options, str(tmp_path), NIGHTJAR_REDIS_URL=redis_url).returncode == 0
        assert stored(redis_url) == newest
    store.close()


def test_a_nightly_export_takes_what_had_alerts_since(full: EmbeddedRedis, tmp_path: Path) -> None:
    since = str(night_of(FIRST_MJD_TAI + 9))
    done = nightjar("export", "--since", since, "--survey", "ztf", str(tmp_path), NIGHTJAR_REDIS_URL=full.url)
    assert done.returncode == 0, done.stderr
    nights = {path.parent.name for path in tmp_path.glob("objects/*/objects.parquet")}
    assert nights == {f"night={since}", f"night={night_of(FIRST_MJD_TAI + 9.9)}"}
    surveys = {
        name for path in tmp_path.rglob("*.parquet") for name in pq.read_table(path)["survey"].to_pylist()
    }
    assert surveys == {"ztf"}


def test_more_nights_than_files_that_a_shell_lets_be_open(redis_url: str, tmp_path: Path) -> None:
    store, random = connect(redis_url), np.random.default_rng(5)
    times = FIRST_MJD_TAI + 0.6 + np.arange(100)
    some = [
        StoredObject(f"ztf:{day}", dataclasses.replace(any_state(random), last_alert_mjd_tai=mjd_tai), 0)
        for day, mjd_tai in enumerate(times)
    ]
    put_objects(store, some, lambda _: (), replace=False)
    store.close()
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 50, usual[1]))  # noqa: PTH208
    try:
        done = nightjar("export", str(tmp_path), NIGHTJAR_REDIS_URL=redis_url)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("objects/night=*"))) == len(times)


def test_an_object_that_cannot_be_read_is_said_and_left_out(redis_url: str, tmp_path: Path) -> None:
    with Redis.from_url(redis_url) as client:
        client.set("nj:{ztf:broken}", b"rubbish")
    done = nightjar("export", str(tmp_path), NIGHTJAR_REDIS_URL=redis_url)
    assert done.returncode == 0
    assert "1 objects cannot be read" in done.stderr


def test_a_directory_that_cannot_be_written_is_one_line(redis_url: str, tmp_path: Path) -> None:
    table = tmp_path / "lc.csv"
    table.write_text("object_id,mjd\n")
    for directory, message in (
        (table, f"{table} is a file: name a directory"),
        (table / "below", "lc.csv/below cannot be written: Not a directory"),
        (Path("/proc/foo"), "/proc/foo cannot be written: No such file or directory"),
        (Path("/proc"), "/proc/models.json cannot be written: No such file or directory"),
    ):
        done = nightjar("export", str(directory), NIGHTJAR_REDIS_URL=redis_url)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert done.stderr.endswith(f"{message}\n")


def test_an_export_that_cannot_be_finished_is_one_line(full: EmbeddedRedis, tmp_path: Path) -> None:
    (tmp_path / "objects").write_text("in the way")
    done = nightjar("export", str(tmp_path), NIGHTJAR_REDIS_URL=full.url)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "objects.parquet cannot be written: " in done.stderr


@pytest.mark.parametrize("name", ["models.json", "objects/night=2026-01-01/objects.parquet"])
def test_what_cannot_be_opened_is_one_line(
    full: EmbeddedRedis, redis_url: str, tmp_path: Path, name: str
) -> None:
    assert nightjar("export", str(tmp_path), NIGHTJAR_REDIS_URL=full.url).returncode == 0
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).mkdir(parents=True)  # a file without the right to read stops no test that root runs
    done = nightjar("import", str(tmp_path), NIGHTJAR_REDIS_URL=redis_url)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"{tmp_path / name} cannot be read: " in done.stderr


def test_a_directory_that_is_no_export_is_one_line(tmp_path: Path) -> None:
    done = nightjar("import", str(tmp_path / "missing"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "name the directory of an export" in done.stderr


def test_an_archive_moves_between_a_server_and_a_cluster(
    full: EmbeddedRedis, archive: Path, tmp_path: Path, redis_url: str
) -> None:
    with EmbeddedRedisCluster(replicas=0) as cluster:
        done = nightjar("import", str(archive), NIGHTJAR_REDIS_URL=cluster.url)
        assert f"imported {N_OBJECTS} objects" in done.stderr
        assert min(master.ask("DBSIZE") for master in cluster.masters) > N_OBJECTS / 4
        done = nightjar("export", str(tmp_path), NIGHTJAR_REDIS_URL=cluster.url)
        assert f"exported {N_OBJECTS} objects" in done.stderr, done.stderr
    assert nightjar("import", str(tmp_path), NIGHTJAR_REDIS_URL=redis_url).returncode == 0
    assert stored(redis_url) == stored(full.url)


@pytest.mark.skipif(not LONG, reason="set NIGHTJAR_LONG_TESTS=1 to measure memory on 100,000 objects")
def test_memory_does_not_grow_with_the_number_of_objects(full: EmbeddedRedis, tmp_path: Path) -> None:
    def peak_bytes(*options: str) -> int:
        script = (
            "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        command = [sys.executable, "-c", script, *command_line("export", *options, str(tmp_path / "out"))]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment(NIGHTJAR_REDIS_URL=full.url)
        )
        return 1024 * int(done.stdout)

    few = peak_bytes("--since", str(night_of(FIRST_MJD_TAI + 9.9)))
    everything = peak_bytes()
    sys.stdout.write(f"peak {few / 1e6:.0f} MB for a night, {everything / 1e6:.0f} MB for all\n")
    # The values of all objects alone are some 400 MB.
    assert everything - few < 250 * 10**6


@pytest.mark.parametrize("option", [["--since", "yesterday"], ["--survey", "sdss"]])
def test_unusable_options_are_said(option: list[str], tmp_path: Path) -> None:
    assert nightjar("export", *option, str(tmp_path)).returncode == 2


def test_a_directory_that_is_no_export_is_said(tmp_path: Path, redis_url: str) -> None:
    done = nightjar("import", str(tmp_path), NIGHTJAR_REDIS_URL=redis_url)
    assert done.returncode == 2
    assert "no objects below" in done.stderr
    (tmp_path / "objects" / "night=2026-11-20").mkdir(parents=True)
    (tmp_path / "objects" / "night=2026-11-20" / "objects.parquet").write_bytes(b"PAR1 and rubbish")
    done = nightjar("import", str(tmp_path), NIGHTJAR_REDIS_URL=redis_url)
    assert done.returncode == 2
    assert "cannot be read" in done.stderr


def test_a_store_that_is_away_leaves_the_old_files(archive: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in archive.rglob("*.parquet")}
    done = nightjar("export", str(archive))
    assert done.returncode == 75
    assert {path: path.stat().st_mtime_ns for path in archive.rglob("*.parquet")} == before
