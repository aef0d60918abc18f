"""docker-compose.yml: valid by the specification, pinned, closed, limited, and documented."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.settings import PREFIX, Settings
from tests.deploy.composition import (
    COMPOSE_FILE,
    ENV_EXAMPLE,
    ROOT,
    Service,
    read_variables,
    services,
    variables,
    whole,
)

SERVICES = list(services().values())
LONG_RUNNING = [service for service in SERVICES if not service.one_shot]
# Images whose own default is an unprivileged user.
UNPRIVILEGED_IMAGES = ("apache/kafka:",)
# It ends where it cannot work, and has no port to ask.
WITHOUT_HEALTH_CHECK = {"mirror"}
SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields}


def name_of(service: Service) -> str:
    return service.name


def test_file_is_valid_by_the_compose_specification() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE_FILE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_specification_is_really_checked(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(COMPOSE_FILE.read_text().replace("stop_grace_period:", "stop_grace:"))
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", broken],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "stop_grace" in done.stdout


def test_services_are_those_of_the_manual() -> None:
    always = {service.name for service in SERVICES if not service.profiles}
    assert always == {"kafka", "redis", "topics", "worker", "filter", "api"}
    profiles = {name: service.profiles for name, service in services().items() if service.profiles}
    assert profiles == {
        "replayer": ["demo"],
        "mirror": ["mirror"],
        "prometheus": ["observability"],
        "grafana": ["observability"],
    }


def test_references_within_the_file_lead_somewhere() -> None:
    compose = whole()
    for service in SERVICES:
        assert set(service.fields.get("depends_on", {})) <= set(compose["services"])
        assert set(service.fields.get("secrets", [])) <= set(compose["secrets"])
        assert set(service.fields["networks"]) <= set(compose["networks"])
    for service in SERVICES:
        for name, condition in service.fields.get("depends_on", {}).items():
            needed = {"service_healthy": "healthcheck", "service_completed_successfully": "restart"}
            assert needed[condition["condition"]] in compose["services"][name]


@pytest.mark.parametrize("service", SERVICES, ids=name_of)
def test_image_has_an_exact_version(service: Service) -> None:
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(-bookworm)?", service.fields["image"])


@pytest.mark.parametrize("service", SERVICES, ids=name_of)
def test_container_can_do_no_more_than_it_must(service: Service) -> None:
    assert service.fields["read_only"] is True
    assert service.fields["cap_drop"] == ["ALL"]
    assert service.fields["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & set(service.fields)
    user, image = service.fields.get("user", ""), service.fields["image"]
    assert user.split(":")[0] not in {"", "0", "root"} or image.startswith(UNPRIVILEGED_IMAGES)
    assert not any("docker.sock" in str(volume) for volume in service.fields.get("volumes", []))


@pytest.mark.parametrize("name", ["kafka", "mirror"])
def test_kafka_can_run_the_libraries_it_unpacks(name: str) -> None:
    temporary = next(mount for mount in services()[name].fields["tmpfs"] if mount.startswith("/tmp:"))  # noqa: S108
    assert "exec" in temporary.split(":")[1].split(",")


@pytest.mark.parametrize("service", SERVICES, ids=name_of)
def test_container_is_limited(service: Service) -> None:
    limits = service.fields["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    assert service.fields["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("service", SERVICES, ids=name_of)
def test_ports_are_open_to_this_machine_only(service: Service) -> None:
    for port in service.fields.get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_redis_has_no_port_at_all() -> None:
    assert "ports" not in services()["redis"].fields


@pytest.mark.parametrize("service", LONG_RUNNING, ids=name_of)
def test_what_runs_for_long_comes_back_and_is_watched(service: Service) -> None:
    assert service.fields["restart"] == "unless-stopped"
    if service.name not in WITHOUT_HEALTH_CHECK:
        check = service.fields["healthcheck"]
        assert check["test"][0] in {"CMD", "CMD-SHELL"}
        assert service.seconds(check["timeout"]) <= service.seconds(check["interval"])


@pytest.mark.parametrize("name", ["worker", "filter"])
def test_what_is_scaled_has_nothing_that_only_one_can_have(name: str) -> None:
    assert not {"container_name", "hostname", "ports"} & set(services()[name].fields)


@pytest.mark.parametrize("name", ["worker", "filter"])
def test_loop_that_stands_still_fails_the_health_check(name: str) -> None:
    assert services()[name].health_check[-1].endswith("/healthz")


def test_worker_has_time_to_end_its_transaction() -> None:
    grace = services()["worker"].seconds(services()["worker"].fields["stop_grace_period"])
    assert grace > Settings().transaction_timeout.total_seconds()


def test_redis_may_use_the_memory_it_is_told_to() -> None:
    redis = services()["redis"]
    gigabytes = re.compile(r"(\d+)gb?")
    limit = gigabytes.fullmatch(redis.fields["deploy"]["resources"]["limits"]["memory"])
    data = gigabytes.fullmatch(redis.environment["REDIS_MAXMEMORY"])
    assert limit
    assert data
    assert int(limit[1]) >= 1.5 * int(data[1])


def test_data_outlive_their_containers() -> None:
    compose = whole()
    mounted = {volume.split(":")[0] for service in SERVICES for volume in service.fields.get("volumes", [])}
    assert set(compose["volumes"]) <= mounted
    for service in SERVICES:
        for volume in service.fields.get("volumes", []):
            source, _, *mode = volume.split(":")
            assert source in compose["volumes"] or (mode == ["ro"] and (ROOT / source).exists())


def test_secrets_are_files_and_the_default_means_none() -> None:
    for secret in whole()["secrets"].values():
        path = ROOT / secret["file"]
        assert path.is_file()
        assert not path.read_text()


@pytest.mark.parametrize("service", SERVICES, ids=name_of)
def test_no_secret_stands_in_the_environment(service: Service) -> None:
    names = re.compile(r"PASSWORD|SECRET|TOKEN|CREDENTIAL")
    assert not [name for name in service.environment if names.search(name) and name != "NIGHTJAR_SECRETS_DIR"]


@pytest.mark.parametrize("service", [service for service in SERVICES if service.ours], ids=name_of)
def test_our_services_get_only_settings_that_exist(service: Service) -> None:
    assert {name for name in service.environment if name.startswith(PREFIX)} <= SETTINGS


def test_our_services_are_one_image() -> None:
    ours = [service for service in SERVICES if service.ours]
    assert {service.name for service in ours} == {"topics", "worker", "filter", "api", "replayer"}
    assert len({service.fields["image"] for service in ours}) == 1
    for service in ours:
        build = service.fields["build"]
        assert (ROOT / build["context"] / build["dockerfile"]).is_file()


def test_every_variable_is_documented_with_its_default() -> None:
    defaults = ENV_EXAMPLE.read_text().split("# Examples\n")[0]
    documented = read_variables(defaults, commented=True)
    assert {name: documented.get(name) for name in variables()} == variables()


def test_example_sets_nothing_by_itself_and_names_only_what_exists() -> None:
    text = ENV_EXAMPLE.read_text()
    assert not read_variables(text)
    assert read_variables(text, commented=True).keys() <= SETTINGS | variables().keys()


def test_environment_replaces_defaults() -> None:
    changed = services({"NIGHTJAR_ZTF_TOPICS": "", "API_PORT": "8080", "BIND_ADDRESS": "10.0.0.1"})
    assert changed["worker"].environment["NIGHTJAR_ZTF_TOPICS"] == ""
    assert changed["api"].fields["ports"] == ["10.0.0.1:8080:8000"]
