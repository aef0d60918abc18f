"""Logs are one form for all, and no secret gets into them."""

import logging
import subprocess
import sys

import orjson
import pytest

from service.logs import HIDDEN, hide_secrets


def run(code: str) -> list[str]:
    """Lines on stderr of a process of its own: the configuration is global to one."""
    script = f"import logging, structlog\nfrom service.logs import configure_logging\n{code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_lines_carry_text_level_time_and_fields() -> None:
    (line,) = run(
        "configure_logging('INFO', json=True)\n"
        "structlog.get_logger('a').info('batch done', topic='t', partition=3, text='\\u2603')"
    )
    event = orjson.loads(line)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "batch done",
        "level": "info",
        "logger": "a",
        "topic": "t",
        "partition": 3,
        "text": "\u2603",
    }


def test_compiler_does_not_drown_what_is_asked_for_by_debug() -> None:
    (line,) = run(
        "configure_logging('DEBUG', json=True)\n"
        "logging.getLogger('numba.core.ssa').debug('on stmt')\n"
        "structlog.get_logger('a').debug('ours')"
    )
    assert orjson.loads(line)["event"] == "ours"


def test_libraries_log_in_the_same_form() -> None:
    (line,) = run("configure_logging('INFO', json=True)\nlogging.getLogger('lib').warning('hm %s', 5)")
    assert orjson.loads(line)["event"] == "hm 5"


def test_text_lines_are_for_people() -> None:
    (line,) = run(
        "configure_logging('INFO', json=False)\nstructlog.get_logger().info('batch done', topic='t')"
    )
    assert "batch done" in line
    assert "topic=t" in line
    assert "\x1b" not in line, "colours only on a terminal"


def test_less_severe_levels_are_left_out() -> None:
    assert run("configure_logging('WARNING', json=True)\nstructlog.get_logger().info('no')") == []


def test_traceback_hides_the_password_of_a_url() -> None:
    lines = run(
        "configure_logging('INFO', json=True)\n"
        "try:\n    raise OSError('cannot reach redis://me:hunter2@host/0')\n"
        "except OSError:\n    structlog.get_logger().exception('failed')"
    )
    assert "hunter2" not in "".join(lines)
    assert "redis://me:***@host/0" in orjson.loads(lines[0])["exception"]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("redis_password", "hunter2", HIDDEN),
        ("token", "abc", HIDDEN),
        ("redis_password", "", ""),
        ("password_file", "/run/x", "/run/x"),
        ("url", "redis://:hunter2@h:1/0", "redis://:***@h:1/0"),
        ("url", "redis://u:p@ss/word@h/0", "redis://u:***@ss/word@h/0"),
        ("url", "redis://host:6379/0", "redis://host:6379/0"),
        ("options", "a=b,sasl.password=hunter2,c=d", "a=b,sasl.password=***,c=d"),
        ("nested", {"sasl.password": "hunter2", "n": 1}, {"sasl.password": HIDDEN, "n": 1}),
        ("rows", ["redis://:hunter2@h/0", 2.5, None], ["redis://:***@h/0", 2.5, None]),
        ("count", 12, 12),
    ],
)
def test_secrets_are_hidden_wherever_they_stand(name: str, value: object, shown: object) -> None:
    assert hide_secrets(logging.getLogger(), "info", {name: value}) == {name: shown}
