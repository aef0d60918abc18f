"""The command line as users see it: help, one-line errors, exit codes."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from service.cli.app import SUBCOMMANDS, exit_code
from service.errors import (
    BundleError,
    FencedError,
    InputError,
    ServiceError,
    SettingsError,
    StoreUnavailableError,
    UnknownBundleError,
)
from tests.support.command import nightjar


def test_version_is_that_of_the_package() -> None:
    assert nightjar("--version").stdout.strip() == f"nightjar {version('nightjar')}"


def test_help_lists_every_subcommand() -> None:
    text = nightjar("--help").stdout
    for subcommand in SUBCOMMANDS:
        assert subcommand.name in text
        assert subcommand.help in text


def test_help_reads_none_of_the_subcommands() -> None:
    code = (
        "import sys; from service.cli import app\n"
        "try:\n    app.main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = ('service.cli.commands.', 'numba', 'confluent_kafka')\n"
        "print([m for m in sys.modules if m.startswith(heavy)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", [subcommand.name for subcommand in SUBCOMMANDS])
def test_every_subcommand_explains_itself(name: str) -> None:
    done = nightjar(name, "--help")
    assert done.returncode == 0
    assert f"nightjar {name}" in done.stdout


def test_mistyped_subcommand_is_corrected() -> None:
    done = nightjar("worke")
    assert done.returncode == 2
    assert "Did you mean 'worker'?" in done.stderr


def test_old_subcommand_works_with_a_warning_and_is_not_listed() -> None:
    done = nightjar("filter", "--help")
    assert done.returncode == 0
    assert done.stdout == nightjar("filter-worker", "--help").stdout
    assert done.stderr.splitlines() == ["nightjar: filter is now called filter-worker"]
    assert "filter " not in nightjar("--help").stdout


@pytest.mark.parametrize(
    ("command", "old", "new"),
    [
        (("reclassify", "--model", "/nowhere"), "--every-alert", "--all-epochs"),
        (("reclassify", "--model", "/nowhere"), "--again", "--force"),
        (("replay", "--demo"), "--again", "--force"),
        (("audit", "--wait", "never"), "--examples=3", "--max-examples"),
    ],
)
def test_old_options_work_with_a_warning_and_are_not_listed(
    command: tuple[str, ...], old: str, new: str
) -> None:
    name = old.partition("=")[0]
    done = nightjar(*command, old)
    warning, *rest = done.stderr.splitlines()
    assert warning == f"nightjar: {name} is now called {new}"
    assert rest == nightjar(*command, old.replace(name, new)).stderr.splitlines()
    assert len(rest) == 1
    assert name not in nightjar(command[0], "--help").stdout.replace(new, "")


def test_unusable_setting_is_named_in_one_line_without_its_value() -> None:
    done = nightjar("settings", NIGHTJAR_BATCH_SIZE="many", NIGHTJAR_REDIS_URL="hunter2")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("nightjar: NIGHTJAR_BATCH_SIZE: ")
    assert "NIGHTJAR_REDIS_URL: " in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x"), 2),
        (SettingsError("x"), 2),
        (FencedError("x"), 3),
        (StoreUnavailableError("x"), 75),
        (BundleError("x"), 1),
        (UnknownBundleError("x"), 2),
        (ServiceError("x"), 1),
    ],
)
def test_exit_code_tells_what_kind_of_error_it_was(error: ServiceError, code: int) -> None:
    assert exit_code(error) == code


def test_settings_are_shown_without_secrets() -> None:
    done = nightjar(
        "settings",
        NIGHTJAR_REDIS_URL="redis://me:hunter2@host/0",
        NIGHTJAR_REDIS_PASSWORD="hunter3",  # noqa: S106  nobody's
        NIGHTJAR_KAFKA_OPTIONS="sasl.password=hunter4",
        NIGHTJAR_GROUP_ID="mine",
        COLUMNS="200",
    )
    assert done.returncode == 0
    assert "mine" in done.stdout
    assert "redis://me:***@host" in done.stdout
    assert "hunter" not in done.stdout


def test_settings_are_readable_in_80_columns() -> None:
    lines = nightjar("settings", COLUMNS="80").stdout.splitlines()
    place = lines.index("NIGHTJAR_OUTPUT_TOPIC=nightjar.classifications")
    assert lines[place + 1].strip() == "One record per alert"
    assert len(lines) < 3 * sum(line.startswith("NIGHTJAR_") for line in lines)


def test_documented_settings_are_current() -> None:
    documented = Path(__file__).parents[2] / "docs" / "settings.md"
    assert nightjar("settings", "--markdown").stdout == documented.read_text(), "run `make docs`"


def test_former_name_of_a_setting_works_with_one_line_of_warning() -> None:
    done = nightjar("settings", NIGHTJAR_OBJECT_EXPIRY="P30D")
    assert done.returncode == 0
    assert "NIGHTJAR_OBJECT_TTL=P30D" in done.stdout.splitlines()
    assert done.stderr.splitlines() == [
        (
            "nightjar: NIGHTJAR_OBJECT_EXPIRY is now NIGHTJAR_OBJECT_TTL; "
            "the old name still works in this release"
        )
    ]


def test_former_name_of_a_setting_is_ignored_where_the_new_one_is_set() -> None:
    done = nightjar("settings", NIGHTJAR_OBJECT_EXPIRY="P30D", NIGHTJAR_OBJECT_TTL="P60D")
    assert "NIGHTJAR_OBJECT_TTL=P60D" in done.stdout.splitlines()
    assert done.stderr.splitlines() == [
        "nightjar: NIGHTJAR_OBJECT_EXPIRY is now NIGHTJAR_OBJECT_TTL; the old name is ignored"
    ]


def test_a_variable_that_is_nearly_a_setting_is_told_once() -> None:
    done = nightjar("model", "show", "ztf", NIGHTJAR_BATCHSIZE="5")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "nightjar: NIGHTJAR_BATCHSIZE is not a setting and has no effect; did you mean NIGHTJAR_BATCH_SIZE?"
    ]
