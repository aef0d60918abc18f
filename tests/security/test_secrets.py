"""No secret reaches a log, an error or a listing, whatever goes wrong; and nothing here unpickles."""

import ast
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.command import nightjar

CANARY = "c4nary-of-the-m1ne"

SECRETS = {
    "NIGHTJAR_REDIS_URL": f"redis://:{CANARY}@127.0.0.1:1/0",
    "NIGHTJAR_REDIS_PASSWORD": CANARY,
    "NIGHTJAR_KAFKA_PASSWORD": CANARY,
    "NIGHTJAR_KAFKA_USERNAME": "somebody",
    "NIGHTJAR_KAFKA_SECURITY": "sasl_plaintext",
    "NIGHTJAR_KAFKA_SASL_MECHANISM": "PLAIN",
    "NIGHTJAR_KAFKA_KEY_PASSWORD": CANARY,
    "NIGHTJAR_KAFKA_OPTIONS": rf"sasl.oauthbearer.client.secret=it\, is {CANARY},ssl.key.password={CANARY}",
    "NIGHTJAR_SCHEMA_REGISTRY_URL": f"http://me:{CANARY}@127.0.0.1:1",
    "NIGHTJAR_API_READ_TOKENS": f"{CANARY},other-{CANARY}",
    "NIGHTJAR_API_ADMIN_TOKEN": CANARY,
    "NIGHTJAR_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "NIGHTJAR_ZTF_TOPICS": "ztf",
    "NIGHTJAR_LOG_LEVEL": "DEBUG",
}


SPOILED = {"NIGHTJAR_REDIS_URL": f"nonsense://:{CANARY}@x"}


@pytest.mark.parametrize(
    ("command", "spoiled"),
    [
        (("settings",), {}),
        (("settings",), SPOILED),
        (("topics", "--wait", "1"), {}),
        (("reclassify", "--model", "ztf"), {}),
        (("reclassify", "--model", "ztf", "--topic", "aside"), SPOILED),
    ],
)
def test_no_command_shows_a_secret(command: tuple[str, ...], spoiled: dict[str, str]) -> None:
    done = nightjar(*command, timeout_s=90, **(SECRETS | spoiled))

    assert done.stdout + done.stderr
    assert CANARY not in done.stdout + done.stderr


UNPICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}


def sources() -> list[Path]:
    return sorted(path for package in ("service", "training") for path in (ROOT / package).rglob("*.py"))


def test_nothing_unpickles() -> None:
    assert len(sources()) > 100
    for path in sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert not {one.name.partition(".")[0] for one in node.names} & UNPICKLING, path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").partition(".")[0] not in UNPICKLING, path
            elif isinstance(node, ast.Call):
                assert not unpickles(node), f"{path}:{node.lineno}"


def unpickles(call: ast.Call) -> bool:
    """Say whether a call may unpickle: NumPy where it is allowed to, torch unless it is forbidden to."""
    keywords = {one.arg: one.value for one in call.keywords}
    allowed = keywords.get("allow_pickle")
    if allowed is not None and not (isinstance(allowed, ast.Constant) and allowed.value is False):
        return True
    if ast.unparse(call.func) == "torch.load":
        only = keywords.get("weights_only")
        return not (isinstance(only, ast.Constant) and only.value is True)
    return ast.unparse(call.func).rpartition(".")[2] in {"read_pickle", "to_pickle"}


def test_calls_that_unpickle_are_recognised() -> None:
    for text, expected in (
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path, allow_pickle=False)", False),
        ("torch.load(path)", True),
        ("torch.load(path, weights_only=True)", False),
        ("pd.read_pickle(path)", True),
        ("np.load(path)", False),
    ):
        (call,) = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
        assert unpickles(call) is expected, text


def test_shipped_models_are_weights_and_text_alone() -> None:
    found = {path.suffix for path in (ROOT / "service" / "models").rglob("*") if path.is_file()}
    assert found == {".json", ".safetensors", ".md"}


def test_lint_looks_for_what_is_unsafe() -> None:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert {"S", "B", "BLE"} <= set(configured["select"])
    assert not [rule for rule in configured["ignore"] if rule.startswith("S") and rule[1:].isdigit()]
    exempt = {rule for rules in configured["per-file-ignores"].values() for rule in rules}
    assert {rule for rule in exempt if rule.startswith("S")} <= {"S101", "S603", "S607"}
