"""deploy/kubernetes: valid by the schemas of the API, in agreement with the image, the settings and itself.

What this covers is the form: names, types and places of every field. Nothing here runs in a cluster.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.settings import PREFIX, Settings
from tests.deploy.composition import ROOT, read_variables, services

BASE = ROOT / "deploy" / "kubernetes" / "base"
EXAMPLE = BASE.parent / "example"
VERSION = "1.36"

Document = dict[str, Any]


def documents(text: str) -> list[Document]:
    return [document for document in yaml.safe_load_all(text) if document]


KUSTOMIZATION = yaml.safe_load((BASE / "kustomization.yaml").read_text())
SETTINGS = read_variables((BASE / "settings.env").read_text())
ALL = [document for name in KUSTOMIZATION["resources"] for document in documents((BASE / name).read_text())]


def identify(document: Document) -> str:
    return f"{document['kind']}-{document['metadata']['name']}"


def template(document: Document) -> Document | None:
    """The pods that something makes."""
    spec = document.get("spec", {})
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    found: Document | None = spec.get("template")
    return found


PODS = [document for document in ALL if template(document)]


def pod(document: Document) -> Document:
    found = template(document)
    assert found
    spec: Document = found["spec"]
    return spec


def containers() -> Iterator[tuple[str, Document]]:
    for document in PODS:
        for container in pod(document)["containers"]:
            yield identify(document), container


def validate(document: Document) -> None:
    kubernetes_validate.validate(document, VERSION, strict=True)


@pytest.mark.parametrize("document", ALL, ids=identify)
def test_document_is_valid_by_the_schemas_of_kubernetes(document: Document) -> None:
    validate(document)


def test_schemas_are_really_applied() -> None:
    broken = yaml.safe_load(yaml.safe_dump(next(one for one in ALL if one["kind"] == "StatefulSet")))
    broken["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        validate(broken)


def test_every_file_is_used() -> None:
    listed = {*KUSTOMIZATION["resources"], "kustomization.yaml", "settings.env"}
    assert {path.name for path in BASE.iterdir()} == listed


@pytest.mark.parametrize("document", PODS, ids=identify)
def test_pods_can_do_no_more_than_they_must(document: Document) -> None:
    spec = pod(document)
    assert spec["automountServiceAccountToken"] is False
    # Kubernetes would describe each service by variables of its name; ours are read from the environment.
    assert spec["enableServiceLinks"] is False
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    user, group = str(services()["worker"].fields["user"]).split(":")
    assert (security["runAsUser"], security["runAsGroup"]) == (int(user), int(group))
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} == set(container["resources"]["limits"])
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}


def test_settings_exist_and_are_read_as_they_are_meant() -> None:
    given = set(SETTINGS)
    for _, container in containers():
        given |= {variable["name"] for variable in container.get("env", [])}
        assert container["envFrom"] == [{"configMapRef": {"name": "nightjar"}}]
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert given <= known
    values = {name.removeprefix(PREFIX).lower(): value for name, value in SETTINGS.items()}
    settings = Settings.model_validate(values)
    assert settings.redis_wait_replicas == 1
    assert str(settings.redis_url).startswith("redis+cluster://")
    assert all(topic.startswith("^") for topic in (*settings.ztf_topics, *settings.lsst_topics))


def test_secrets_lie_where_the_settings_say() -> None:
    for name, container in containers():
        places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert places["secrets"] == SETTINGS["NIGHTJAR_SECRETS_DIR"], name


@pytest.mark.parametrize("name", ["StatefulSet-worker", "StatefulSet-filter"])
def test_workers_keep_their_names_and_are_judged_by_their_loop(name: str) -> None:
    [worker] = [one for one in ALL if identify(one) == name]
    [container] = pod(worker)["containers"]
    variables = {variable["name"]: variable for variable in container["env"]}
    assert variables["NIGHTJAR_WORKER_ID"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    port = container["ports"][0]
    assert str(port["containerPort"]) == variables["NIGHTJAR_METRICS_PORT"]["value"]
    grace_s = pod(worker)["terminationGracePeriodSeconds"]
    assert grace_s > Settings().transaction_timeout.total_seconds()
    # It may take as long to start as the compose file lets it.
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 120


def test_selectors_find_their_pods_and_nobody_elses() -> None:
    labels = {identify(document): (template(document) or {})["metadata"]["labels"] for document in PODS}
    for document in ALL:
        selector = document.get("spec", {}).get("selector")
        if selector is None:
            continue
        wanted = selector.get("matchLabels", selector)
        found = [name for name, own in labels.items() if wanted.items() <= own.items()]
        assert len(found) == 1, identify(document)
        assert found[0].endswith(f"-{document['metadata']['name']}")


def test_claims_and_services_that_are_named_are_there() -> None:
    names = {identify(document) for document in ALL}
    for document in PODS:
        for volume in pod(document)["volumes"]:
            if "persistentVolumeClaim" in volume:
                assert f"PersistentVolumeClaim-{volume['persistentVolumeClaim']['claimName']}" in names
        assert f"ServiceAccount-{pod(document)['serviceAccountName']}" in names
        if document["kind"] == "StatefulSet":
            assert f"Service-{document['spec']['serviceName']}" in names


def test_image_is_the_one_of_the_compose_file() -> None:
    name, tag = services()["worker"].fields["image"].split(":")
    assert KUSTOMIZATION["images"] == [{"name": name, "newTag": tag}]
    assert {container["image"] for _, container in containers()} == {name}


def test_commands_are_those_of_the_compose_file() -> None:
    commands = {name: container["args"] for name, container in containers()}
    assert commands["StatefulSet-worker"] == services()["worker"].command
    assert commands["StatefulSet-filter"] == services()["filter"].command
    assert commands["Deployment-api"] == services()["api"].command
    assert commands["Job-topics"][:2] == services()["topics"].command[:2]


def test_export_asks_for_the_night_before_last() -> None:
    [shell, option, line] = dict(containers())["CronJob-export"]["args"]
    shown = line.replace("exec nightjar", "echo nightjar")
    done = subprocess.run([shell, option, shown], capture_output=True, text=True, check=True)
    words = done.stdout.split()
    assert words[:3] == ["nightjar", "export", "--since"]
    assert words[4] == "/archive"
    assert len(words[3]) == len("2026-11-20")


@pytest.mark.parametrize("directory", [BASE, EXAMPLE], ids=["base", "example"])
def test_kustomize_builds_valid_documents(directory: Path) -> None:
    program = shutil.which("kustomize") or shutil.which("kubectl")
    if program is None:
        pytest.skip("neither kustomize nor kubectl on the path")
    command = [program, "build" if program.endswith("kustomize") else "kustomize", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = documents(done.stdout)
    assert len(built) == len(ALL) + 1  # and the settings
    for document in built:
        validate(document)
    [settings] = [one for one in built if one["kind"] == "ConfigMap"]
    for document in built:
        if template(document):
            [container] = pod(document)["containers"]
            assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
            assert ":" in container["image"]
    assert settings["data"].keys() == SETTINGS.keys()
