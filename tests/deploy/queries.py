"""The queries of the dashboard and the rules, and the metrics there are to ask for."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import yaml
from prometheus_client import CollectorRegistry

from service.api.middleware.metrics import RequestMetrics, StoreCollector
from service.core.ports.store import ObjectStore
from service.worker.metrics import ModelLabels, WorkerMetrics
from tests.deploy.composition import ROOT
from tests.deploy.promql import result_labels

__all__ = ["DASHBOARD", "PROMETHEUS", "Panel", "Rule", "exposed", "panels", "recorded", "rules"]

PROMETHEUS = ROOT / "docker" / "prometheus"
DASHBOARD = ROOT / "docker" / "grafana" / "dashboards" / "nightjar.json"

# What Prometheus makes by itself.
OWN = {"up": frozenset({"job", "instance"}), "ALERTS": frozenset({"alertname", "alertstate", "severity"})}


@dataclass(frozen=True, slots=True)
class Rule:
    """A recording or alerting rule."""

    name: str
    expression: str
    alert: bool
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel of the dashboard."""

    title: str
    fields: dict[str, Any]

    @property
    def targets(self) -> list[dict[str, str]]:
        return list(self.fields.get("targets", []))

    def expression(self, target: dict[str, str]) -> str:
        return target["expr"].replace("$survey", ".*")


def rules() -> list[Rule]:
    found = []
    for name in ("mix.yml", "alerts.yml"):
        for group in yaml.safe_load((PROMETHEUS / name).read_text())["groups"]:
            for rule in group["rules"]:
                title = rule.get("alert") or rule["record"]
                found.append(Rule(title, rule["expr"], "alert" in rule, rule))
    return found


def panels() -> list[Panel]:
    return [Panel(panel["title"], panel) for panel in json.loads(DASHBOARD.read_text())["panels"]]


def exposed(store: ObjectStore) -> dict[str, frozenset[str]]:
    """Labels of every metric that worker and API expose once everything has happened to them."""
    worker = WorkerMetrics()
    worker.count_consumed("t", 0, 1)
    for status in ("classified", "abstained", "rejected"):
        worker.count_outcome("ztf", "t", 0, status, "detail", 1)
    worker.count_top_classes({("ztf", "m 1", "Ia"): 1})
    worker.count_outage("cause")
    worker.time_batch(timedelta(seconds=1), 1)
    worker.time_alerts("ztf", np.array([1.0]))
    worker.set_models([ModelLabels("ztf", "m", "1")])
    worker.set_lag({("t", 0): 1})
    api = RequestMetrics()
    api.registry.register(StoreCollector(store))
    api.requests.labels("GET", "/", "200").inc()
    api.seconds.labels("GET", "/").observe(1.0)
    return _labels(worker.registry) | _labels(api.registry)


def _labels(registry: CollectorRegistry) -> dict[str, frozenset[str]]:
    samples = (sample for family in registry.collect() for sample in family.samples)
    return {sample.name: frozenset(sample.labels) for sample in samples}


def recorded(metrics: dict[str, frozenset[str]], of: Iterable[Rule]) -> dict[str, frozenset[str]]:
    """Add what the recording rules make of metrics, and what Prometheus has of its own."""
    known = metrics | OWN
    for rule in of:
        if not rule.alert:
            known[rule.name] = result_labels(rule.expression, known)
    return known
