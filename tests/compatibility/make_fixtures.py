"""Write the fixtures of this directory with the programs of an earlier commit.

Run from the repository's root, with a checkout of that commit first on the path::

    git worktree add ../before fdd55aa79a943e7b12c51f9f9ea19d38a5a0286e
    PYTHONPATH=../before python tests/compatibility/make_fixtures.py

Alerts that come with the service, and one long light curve made from one of them, pass through that commit's
workers on its embedded servers. Modules of that commit are imported by name at run time, by the names that
they have there: these must not follow later renames.

========================  ===================================================================================
``commit.json``            the commit, and the digest of each of its models
``bundles/``               models of random weights: ``ztf`` and ``lsst``, and ``ztf-shadow``
``redis.json.xz``          every key of the service: type, value, and when it expires
``topics.json.xz``         every topic at that moment: alerts, results as JSON and as Avro, dead letters
``continuation.json.xz``   what topics hold after some more alerts of the same objects, results included
``export/``                what `nightjar export` wrote at that moment
``settings.json``          settings that take one of many values, and how `nightjar settings` shows them
========================  ===================================================================================
"""

import json
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import httpx
from pydantic import SecretStr
from redis import Redis

COMMIT = "fdd55aa79a943e7b12c51f9f9ea19d38a5a0286e"
FIXTURES = Path(__file__).parent / "fixtures"

SOURCES = {"ztf": "compat.ztf", "lsst": "compat.lsst"}
OUTPUT, AVRO, DESC = "compat.classifications", "compat.classifications.avro", "compat.desc"
REJECTED, SHADOW = "compat.rejected", "compat.shadow"
PARTITIONS = dict.fromkeys(SOURCES.values(), 2) | {OUTPUT: 4, AVRO: 1, DESC: 2, REJECTED: 1, SHADOW: 2}
GROUP = "compat"

OBJECTS_PER_SURVEY = 4
ALERTS_PER_OBJECT = 7
"""Of each object; the next one is among those sent afterwards."""

LONG_OBJECT = "ZTF26compatx"
LONG_NIGHTS = (16, 33, 50, 60, 64)
"""On which the long object has alerts; the last is sent afterwards."""

FILTERS: list[dict[str, Any]] = [
    {"name": "likely-ia", "class": "Ia", "min_probability": 0.2, "description": "Perhaps Ia"},
    {
        "name": "rising-north",
        "survey": ["ztf"],
        "max_magnitude": 21.5,
        "ra": 10.0,
        "dec": 80.0,
        "radius_arcsec": 3600.0,
        "rising": True,
        "stable_epochs": 2,
    },
]
ADMIN_TOKEN = "token"  # noqa: S105  of a server that lives for seconds
# The longest that can be set: fixtures that expire would be gone when they are restored.
NEVER = "P36500D"

Packet = tuple[str, str, bytes]  # survey, object, message
Topics = dict[str, list[dict[str, Any]]]


def checkout() -> Path:
    """Return the checkout whose code is imported, after making sure that it is of `COMMIT`."""
    root = Path(str(import_module("service").__file__)).parents[1]
    git = ["git", "-C", str(root)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "service"], capture_output=True, text=True, check=True
    )
    if head.stdout.strip() != COMMIT or changed.stdout:
        sys.exit(f"{root} is not an unchanged checkout of {COMMIT}")
    return root


def demo_packets(root: Path) -> list[Packet]:
    """Return the alerts that come with the service, in order of time."""
    with tarfile.open(root / "service/embedded/demo_packets.tar.xz") as archive:
        packets = []
        for member in archive:
            _number, survey, object_id = member.name.removesuffix(".avro").split("-", 2)
            opened = archive.extractfile(member)
            assert opened is not None
            packets.append((survey, object_id, opened.read()))
    return packets


def choose(packets: Sequence[Packet]) -> tuple[list[Packet], list[Packet]]:
    """Return the alerts to send before the fixtures are written, and those to send afterwards."""
    first, later = [], []
    counts = Counter((survey, object_id) for survey, object_id, _ in packets)
    chosen = {
        key
        for survey in SOURCES
        for key in [key for key, _ in counts.most_common() if key[0] == survey][:OBJECTS_PER_SURVEY]
    }
    seen: Counter[tuple[str, str]] = Counter()
    for packet in packets:
        key = packet[:2]
        seen[key] += 1
        if (key in chosen and seen[key] <= ALERTS_PER_OBJECT) or is_solar_system(packet):
            first.append(packet)
        elif key in chosen and seen[key] == ALERTS_PER_OBJECT + 1:
            later.append(packet)
    *long_first, long_later = long_object(next(packet for packet in packets if packet[0] == "ztf"))
    # An alert of each survey comes once more: it gets the result that it had.
    repeated = [next(packet for packet in first if packet[0] == survey) for survey in SOURCES]
    return first + long_first, [*later, long_later, *repeated]


def is_solar_system(packet: Packet) -> bool:
    """Tell whether an alert names a known solar-system object, which the service does not classify."""
    if packet[0] != "ztf":
        return False
    record: Any = next(fastavro.reader(BytesIO(packet[2])))
    return float(record["candidate"]["ssdistnr"]) >= 0


def long_object(like: Packet) -> list[Packet]:
    """Return alerts of an object with four detections a night, each with those of the month before it."""
    reader: Any = fastavro.reader(BytesIO(like[2]))
    template = next(reader)
    candidate = template["candidate"]
    names = {field["name"] for field in candidate_fields(reader.writer_schema)}

    def detection(number: int) -> dict[str, Any]:
        return {
            **candidate,
            "jd": 2_461_000.7 + number // 4 + 0.02 * (number % 4),
            "fid": 1 + number % 2,
            "pid": 7_000_000_000 + number,
            "candid": 7_000_000_000_000 + number,
            "magpsf": 19.0 + 0.01 * (number % 90),
            "sigmapsf": 0.1,
            "isdiffpos": "t",
        }

    packets = []
    for night in LONG_NIGHTS:
        number = 4 * night + 3
        before = [detection(earlier) for earlier in range(max(number - 120, 0), number)]
        alert = template | {
            "objectId": LONG_OBJECT,
            "candid": detection(number)["candid"],
            "candidate": detection(number),
            "prv_candidates": [{name: row.get(name) for name in names} for row in before],
            "fp_hists": None,
        }
        stream = BytesIO()
        fastavro.writer(stream, reader.writer_schema, [alert], sync_marker=bytes(16))
        packets.append(("ztf", LONG_OBJECT, stream.getvalue()))
    return packets


def candidate_fields(schema: Any) -> list[dict[str, Any]]:
    """Return the fields of an earlier detection in ZTF's schema."""
    [field] = [field for field in schema["fields"] if field["name"] == "prv_candidates"]
    [array] = [kind for kind in field["type"] if isinstance(kind, dict)]
    fields: list[dict[str, Any]] = array["items"]["fields"]
    return fields


class Service:
    """The programs of that commit on embedded servers."""

    def __init__(self, servers: str, redis_url: str) -> None:
        self.kafka = import_module("tests.support.kafka")
        self.servers = servers
        self.variables = {
            "NIGHTJAR_BOOTSTRAP_SERVERS": servers,
            "NIGHTJAR_REDIS_URL": redis_url,
            "NIGHTJAR_GROUP_ID": GROUP,
            "NIGHTJAR_WORKER_ID": "compat",
            "NIGHTJAR_ZTF_TOPICS": SOURCES["ztf"],
            "NIGHTJAR_LSST_TOPICS": SOURCES["lsst"],
            "NIGHTJAR_OUTPUT_TOPIC": OUTPUT,
            "NIGHTJAR_DESC_TOPIC": DESC,
            "NIGHTJAR_REJECTED_TOPIC": REJECTED,
            "NIGHTJAR_SHADOW_TOPIC": SHADOW,
            "NIGHTJAR_ZTF_MODEL": str(FIXTURES / "bundles/ztf"),
            "NIGHTJAR_LSST_MODEL": str(FIXTURES / "bundles/lsst"),
            "NIGHTJAR_ZTF_SHADOW_MODEL": str(FIXTURES / "bundles/ztf-shadow"),
            "NIGHTJAR_OBJECT_EXPIRY": NEVER,
            "NIGHTJAR_BATCH_SIZE": "20",
            "NIGHTJAR_API_ADMIN_TOKEN": ADMIN_TOKEN,
        }

    def run(self, *arguments: str, **variables: str) -> str:
        """Run a command to its end and return what it printed."""
        done = subprocess.run(
            command(*arguments), env=environment(self.variables | variables), capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(done.stderr)
        return done.stdout

    @contextmanager
    def running(self, *arguments: str, **variables: str) -> Iterator[None]:
        """Run a command meanwhile."""
        with subprocess.Popen(command(*arguments), env=environment(self.variables | variables)) as process:
            try:
                yield
            finally:
                process.terminate()

    def send(self, packets: Sequence[Packet]) -> None:
        """Send alerts, those of one object to one partition."""
        for survey, topic in SOURCES.items():
            chosen = [packet for packet in packets if packet[0] == survey]
            numbers = [sum(object_id.encode()) % 2 for _, object_id, _ in chosen]
            values = [value for _, _, value in chosen]
            self.kafka.produce(self.servers, topic, values, partition=numbers.__getitem__)

    def work(self, **variables: str) -> None:
        """Run a worker until it has processed every alert."""
        group = variables.get("NIGHTJAR_GROUP_ID", GROUP)
        with self.running("worker", **variables):
            self.kafka.wait_until(
                lambda: (
                    not any(self.kafka.group_lag(self.servers, group, topic) for topic in SOURCES.values())
                ),
                "the worker to finish",
                timeout_s=120,
            )

    def store_filters(self) -> None:
        """Store filters over the API."""
        port = str(import_module("service.embedded.processes").free_port())
        url = f"http://127.0.0.1:{port}"
        with self.running("api", NIGHTJAR_API_PORT=port):
            self.kafka.wait_until(lambda: answers(f"{url}/healthz"), "the API")
            for spec in FILTERS:
                headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
                httpx.post(f"{url}/v1/filters", json=spec, headers=headers).raise_for_status()

    def topics(self) -> Topics:
        """Read every topic."""
        return {
            topic: [
                {
                    "partition": record.partition,
                    "offset": record.offset,
                    "timestamp_ms": record.timestamp_ms,
                    "key": None if record.key is None else text(record.key),
                    "value": text(record.value),
                    "headers": {name: text(value) for name, value in record.headers.items()},
                }
                for record in self.kafka.read_topic(self.servers, topic)
            ]
            for topic in PARTITIONS
        }


def command(*arguments: str) -> list[str]:
    """Return the command line of that commit's program."""
    return [sys.executable, "-m", "service", *arguments]


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of its processes, in which the current directory is not searched for modules."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTJAR_")}
    return inherited | {"PYTHONSAFEPATH": "1", "NO_COLOR": "1", **variables}


def answers(url: str) -> bool:
    """Tell whether a server answers."""
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False


def text(value: bytes) -> str:
    """Return bytes as text in which every character is one byte."""
    return value.decode("latin-1")


def redis_keys(url: str) -> dict[str, dict[str, Any]]:
    """Read every key of a database, each with its type, its value and the Unix time at which it expires."""
    client: Any = Redis.from_url(url)
    keys: dict[str, dict[str, Any]] = {}
    for key in sorted(client.scan_iter()):
        kind = client.type(key).decode()
        value: Any
        match kind:
            case "string":
                value = text(client.get(key))
            case "hash":
                value = {text(name): text(field) for name, field in sorted(client.hgetall(key).items())}
            case "set":
                value = sorted(map(text, client.smembers(key)))
            case "zset":
                value = [[text(name), score] for name, score in client.zrange(key, 0, -1, withscores=True)]
            case _:
                sys.exit(f"{key} is a {kind}")
        keys[text(key)] = {"type": kind, "value": value, "expires_at_ms": max(client.pexpiretime(key), 0)}
    client.close()
    return keys


def settings() -> dict[str, dict[str, str]]:
    """Return a value for each setting that takes one of many, and what `nightjar settings` shows of it."""
    given = {}
    for number, (name, field) in enumerate(import_module("service.settings").Settings.model_fields.items()):
        value = other_value(field.default, number)
        variable = f"NIGHTJAR_{name.upper()}"
        if value and not run_settings({variable: value}).returncode:
            given[variable] = value
    lines = [line for line in run_settings(given).stdout.splitlines() if line.startswith("NIGHTJAR_")]
    shown = dict(line.split("=", 1) for line in lines)
    return {variable: {"given": value, "shown": shown[variable]} for variable, value in given.items()}


def other_value(default: Any, number: int) -> str:
    """Return a value that no other setting has, of the type of a setting's default; empty where none fits."""
    match default:
        case bool():
            return str(not default).lower()
        case int():
            return str(default + number)
        case float() if default in {0.0, 1.0}:
            return f"0.5{number:02d}"
        case float():
            return str(default + number)
        case timedelta():
            return str(default.total_seconds() + number / 8)
        case Path():
            return f"/nowhere/{number}"
        case tuple() | "":
            return f"text-{number}"
        case None | SecretStr():
            return ""
        case str():
            return f"text-{number}"
    return ""


def run_settings(variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `nightjar settings` in an environment."""
    return subprocess.run(
        command("settings"), env=environment(variables), capture_output=True, text=True, check=False
    )


def write_json(name: str, value: Any) -> None:
    """Write a fixture, compressed where its name says so."""
    content = json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"
    path = FIXTURES / name
    path.write_bytes(lzma.compress(content, preset=9) if path.suffix == ".xz" else content)


def write_bundles() -> dict[str, str]:
    """Write small models of random weights and return the digest of each."""
    write = import_module("tests.support.bundles").write_random_bundle
    survey = import_module("service.core.alerts").Survey
    load = import_module("service.core.bundle").load_bundle
    bundles = {
        "ztf": {"survey": survey.ZTF, "seed": 1, "name": "compat-ztf", "version": "1.0"},
        "ztf-shadow": {"survey": survey.ZTF, "seed": 2, "name": "compat-ztf", "version": "2.0"},
        "lsst": {"survey": survey.LSST, "seed": 3, "name": "compat-lsst", "version": "1.0"},
    }
    return {
        name: f"{load(write(FIXTURES / 'bundles' / name, **options)).digest:016x}"
        for name, options in bundles.items()
    }


def write_fixtures(service: Service, packets: Sequence[Packet], redis_url: str) -> None:
    """Send alerts through the service and write what it leaves behind."""
    first, later = choose(packets)
    whole = next(value for survey, _, value in first if survey == "ztf")
    damaged = ("ztf", "damaged", whole[:-500])
    service.store_filters()
    service.send([*first, damaged])
    service.work()
    # The same alerts once more into an empty store, for the results in Avro.
    service.work(
        NIGHTJAR_GROUP_ID=f"{GROUP}-avro",
        NIGHTJAR_REDIS_URL=redis_url.removesuffix("/0") + "/1",
        NIGHTJAR_OUTPUT_TOPIC=AVRO,
        NIGHTJAR_OUTPUT_FORMAT="avro",
        NIGHTJAR_DESC_TOPIC="",
        NIGHTJAR_REJECTED_TOPIC=f"{REJECTED}.avro",
        NIGHTJAR_ZTF_SHADOW_MODEL="",
    )
    keys, before = redis_keys(redis_url), service.topics()
    if f"nj:o:{{ztf:{LONG_OBJECT}}}" not in keys:
        sys.exit("no object has settled rows")
    service.run("export", str(FIXTURES / "export"))
    service.send(later)
    service.work()
    write_json("redis.json.xz", keys)
    write_json("topics.json.xz", before)
    write_json("continuation.json.xz", added(before, service.topics()))


def added(before: Topics, after: Topics) -> Topics:
    """Return the records that topics did not hold before."""
    return {
        topic: [record for record in records if record not in before[topic]]
        for topic, records in after.items()
    }


def main() -> None:
    """Replace the fixtures."""
    root = checkout()
    broker_module = import_module("service.embedded.broker")
    shutil.rmtree(FIXTURES, ignore_errors=True)
    FIXTURES.mkdir()
    digests = write_bundles()
    write_json("commit.json", {"commit": COMMIT, "digests": digests})
    write_json("settings.json", settings())
    with (
        tempfile.TemporaryDirectory() as directory,
        broker_module.EmbeddedBroker() as broker,
        import_module("service.embedded.redis").EmbeddedRedis() as redis,
    ):
        os.chdir(directory)
        servers = broker.bootstrap_servers
        broker_module.create_topics(servers, PARTITIONS | {f"{REJECTED}.avro": 1})
        write_fixtures(Service(servers, redis.url), demo_packets(root), redis.url)


if __name__ == "__main__":
    main()
