"""Dashboard, rules and Prometheus' configuration ask for what the service really exposes."""

import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from service.embedded.redis import EmbeddedRedis
from service.redis.store import RedisStore
from tests.deploy.composition import ROOT, services
from tests.deploy.promql import SCRAPED, asked, result_labels
from tests.deploy.queries import DASHBOARD, PROMETHEUS, Panel, Rule, exposed, panels, recorded, rules

RULES = rules()
ALERTS = [rule for rule in RULES if rule.alert]
PANELS = [panel for panel in panels() if panel.targets]
MANUAL = ROOT / "docs" / "operations.md"

Labels = dict[str, frozenset[str]]


@pytest.fixture(scope="module")
def metrics(redis_server: EmbeddedRedis) -> Iterator[Labels]:
    store = RedisStore.connect(redis_server.url, timeout=timedelta(seconds=5), expiry=timedelta(days=1))
    yield recorded(exposed(store), RULES)
    store.close()


def check(expression: str, metrics: Labels) -> None:
    """Every metric exists, with every label that is asked for."""
    selectors = list(asked(expression))
    assert selectors, expression
    for selector in selectors:
        assert selector.metric in metrics, f"{selector.metric}: no such metric"
        unknown = selector.labels - metrics[selector.metric] - SCRAPED
        if selector.metric == "ALERTS":
            continue
        assert not unknown, f"{selector.metric} has no label {sorted(unknown)}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule_asks_for_what_is_exposed(rule: Rule, metrics: Labels) -> None:
    check(rule.expression, metrics)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_panel_asks_for_what_is_exposed(panel: Panel, metrics: Labels) -> None:
    for target in panel.targets:
        check(panel.expression(target), metrics)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_legend_names_labels_that_the_result_has(panel: Panel, metrics: Labels) -> None:
    for target in panel.targets:
        named = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
        assert named <= result_labels(panel.expression(target), metrics)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.name)
def test_alert_is_complete_and_the_manual_knows_it(rule: Rule, metrics: Labels) -> None:
    assert rule.fields["labels"]["severity"] in {"page", "warn"}
    summary = rule.fields["annotations"]["summary"]
    assert set(re.findall(r"\$labels\.(\w+)", summary)) <= result_labels(rule.expression, metrics)
    assert f"\n### {rule.name}\n" in MANUAL.read_text()


def test_manual_explains_no_alert_that_does_not_exist() -> None:
    explained = re.findall(r"^### (Nightjar\w+)$", MANUAL.read_text(), re.MULTILINE)
    assert sorted(explained) == sorted(rule.name for rule in ALERTS)


def test_checks_notice_a_metric_or_label_that_does_not_exist(metrics: Labels) -> None:
    with pytest.raises(AssertionError, match="nightjar_typo: no such metric"):
        check("sum(rate(nightjar_typo[5m]))", metrics)
    with pytest.raises(AssertionError, match="no label"):
        check("sum by (colour) (nightjar_lag_messages)", metrics)
    with pytest.raises(AssertionError, match="no label"):
        check('rate(nightjar_consumed_total{survey="ztf"}[5m])', metrics)


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        grid = panel.fields["gridPos"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel.title
        assert grid["x"] + grid["w"] <= 24
        taken |= cells
    numbers = [panel.fields["id"] for panel in panels()]
    assert len(set(numbers)) == len(numbers)


def test_dashboard_and_rules_lie_where_the_containers_look() -> None:
    compose = services()
    mounts = {
        volume.split(":")[1]: ROOT / volume.split(":")[0]
        for name in ("prometheus", "grafana")
        for volume in compose[name].fields["volumes"]
        if volume.startswith("./")
    }
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    for path in config["rule_files"]:
        assert (mounts["/etc/prometheus"] / Path(path).name).is_file()
    provisioning = mounts["/etc/grafana/provisioning"]
    provider = yaml.safe_load((provisioning / "dashboards" / "nightjar.yml").read_text())["providers"][0]
    assert (mounts[provider["options"]["path"]] / DASHBOARD.name).is_file()
    source = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"][0]
    assert {panel.fields["datasource"]["uid"] for panel in PANELS} == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"


def test_prometheus_finds_each_part_where_it_listens() -> None:
    compose = services()
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    found = {
        job["job_name"]: (job["dns_sd_configs"][0]["names"], job["dns_sd_configs"][0]["port"])
        for job in config["scrape_configs"]
        if "dns_sd_configs" in job
    }
    worker_port = int(compose["worker"].environment["NIGHTJAR_METRICS_PORT"])
    api_port = int(compose["api"].environment["NIGHTJAR_API_PORT"])
    filter_port = int(compose["filter"].environment["NIGHTJAR_METRICS_PORT"])
    assert found == {
        "nightjar-worker": (["worker"], worker_port),
        "nightjar-filter": (["filter"], filter_port),
        "nightjar-api": (["api"], api_port),
    }
    assert compose["worker"].environment["NIGHTJAR_API_HOST"] == "0.0.0.0"  # noqa: S104  in its container


def test_prometheus_itself_accepts_configuration_and_rules(promtool: str, tmp_path: Path) -> None:
    text = (PROMETHEUS / "prometheus.yml").read_text().replace("/etc/prometheus", str(PROMETHEUS))
    config = tmp_path / "prometheus.yml"
    config.write_text(text)
    done = subprocess.run([promtool, "check", "config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
