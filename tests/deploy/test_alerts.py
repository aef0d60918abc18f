"""Each alert fires for what it is meant for and for nothing else: replayed in Prometheus' own rule tester."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.deploy.queries import PROMETHEUS, rules

MINUTES = 180
DAY = 24 * 60
DAYS = 17

Series = Mapping[str, str]

# A server evaluates both again and again; here an alert that came before the values it needs would see none.
GROUPS = ["nightjar-mix", "nightjar"]

ALERTS = 'nightjar_alerts_total{instance="w",survey="ztf",topic="t",partition="0",outcome='

# Three hours of one worker with 10 alerts a second, and of the API; values per minute.
HEALTHY: Series = {
    'up{job="nightjar-worker",instance="w"}': "1x180",
    'up{job="nightjar-api",instance="a"}': "1x180",
    'process_start_time_seconds{job="nightjar-worker",instance="w"}': "100x180",
    'nightjar_consumed_total{instance="w",topic="t",partition="0"}': "0+600x180",
    ALERTS + '"classified"}': "0+500x180",
    ALERTS + '"abstained"}': "0+99x180",
    ALERTS + '"rejected"}': "0+1x180",
    'nightjar_rejected_total{instance="w",survey="ztf",error_class="malformed"}': "0+1x180",
    'nightjar_lag_messages{instance="w",topic="t",partition="0"}': "50x180",
    'nightjar_latency_seconds_bucket{instance="w",survey="ztf",le="0.5"}': "0+600x180",
    'nightjar_latency_seconds_bucket{instance="w",survey="ztf",le="300.0"}': "0+600x180",
    'nightjar_latency_seconds_bucket{instance="w",survey="ztf",le="+Inf"}': "0+600x180",
    'nightjar_outages_total{instance="w",cause="StoreUnavailableError"}': "0+0x100 1x79",
    'nightjar_store_memory_bytes{instance="a"}': "1000x180",
    'nightjar_store_memory_limit_bytes{instance="a"}': "2000x180",
    'nightjar_api_requests_total{instance="a",method="GET",route="/",status="200"}': "0+60x180",
    'nightjar_api_requests_total{instance="a",method="GET",route="/",status="503"}': "0+1x180",
}

WORKER, API, STARTED, CONSUMED, CLASSIFIED, ABSTAINED, REJECTED, MALFORMED, LAG, FAST, SLOW, ALL, WAITS = (
    list(HEALTHY)[:13]
)
MEMORY, LIMIT, ANSWERS, FAILURES = list(HEALTHY)[13:]
UNKNOWN = 'nightjar_rejected_total{instance="w",survey="ztf",error_class="unknown_schema"}'

STOPS = "0+600x100 60000x79"
DISTURBANCES: Mapping[str, Series] = {
    "NightjarNoWorker": {WORKER: "1x100 _x79"},
    "NightjarWorkerDown": {WORKER: "1x180", 'up{job="nightjar-worker",instance="v"}': "0x180"},
    "NightjarApiDown": {API: "1x100 0x79"},
    "NightjarRestarting": {STARTED: "100+100x180"},
    "NightjarStalled": {CONSUMED: STOPS, CLASSIFIED: STOPS, ABSTAINED: "0x180", REJECTED: "0x180"},
    "NightjarLagging": {LAG: "0+1000x180"},
    "NightjarSlow": {FAST: "0+500x180"},
    "NightjarWaiting": {WAITS: "0+1x180"},
    "NightjarStoreFull": {MEMORY: "0+11x180"},
    "NightjarRejecting": {REJECTED: "0+20x180", ABSTAINED: "0+80x180"},
    "NightjarUnknownSchema": {UNKNOWN: "0x150 1x29"},
    "NightjarAccountingBroken": {CLASSIFIED: "0+500x150 75000+499x29"},
    "NightjarApiFailing": {FAILURES: "0+10x180"},
}


def run(
    promtool: str, directory: Path, *, series: Series, step: str, firing: Mapping[str, list[str]]
) -> None:
    """Replay `series` and compare, at each time, the names of the alerts that fire."""
    firing_now = 'count by (alertname) (ALERTS{alertstate="firing"})'
    test = {
        "interval": step,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": firing_now,
                "eval_time": time,
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in names],
            }
            for time, names in firing.items()
        ],
    }
    path = directory / "test.yml"
    files = [str(PROMETHEUS / name) for name in ("mix.yml", "alerts.yml")]
    content = {
        "rule_files": files,
        "evaluation_interval": step,
        "group_eval_order": GROUPS,
        "tests": [test],
    }
    path.write_text(yaml.safe_dump(content))
    done = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_fires_while_all_is_well(promtool: str, tmp_path: Path) -> None:
    run(promtool, tmp_path, series=HEALTHY, step="1m", firing={"30m": [], "170m": []})


@pytest.mark.parametrize("name", DISTURBANCES)
def test_alert_fires_alone_for_its_cause(name: str, promtool: str, tmp_path: Path) -> None:
    run(promtool, tmp_path, series={**HEALTHY, **DISTURBANCES[name]}, step="1m", firing={"175m": [name]})


def per_hour(values: list[int]) -> str:
    """A counter that grows by each of these within an hour."""
    total, steps = 0, ["0"]
    for value in values:
        total += value
        steps.append(str(total))
    return " ".join(steps)


def days_of(survey: str, outcomes: Mapping[str, list[int]], classes: Mapping[str, list[int]]) -> Series:
    ours = f'{{instance="w",survey="{survey}",'
    counts = {
        f'nightjar_alerts_total{ours}outcome="{name}"}}': per_hour(values)
        for name, values in outcomes.items()
    }
    mix = {
        f'nightjar_top_class_total{ours}model="m",class_name="{name}"}}': per_hour(values)
        for name, values in classes.items()
    }
    up = {'up{job="nightjar-worker"}': f"1x{24 * DAYS}", 'up{job="nightjar-api"}': f"1x{24 * DAYS}"}
    return up | counts | mix


BEFORE, AFTER = 15 * 24, 2 * 24


def test_drift_fires_when_the_mix_of_classes_shifts_and_not_before(promtool: str, tmp_path: Path) -> None:
    classes = {
        "Ia": [700] * BEFORE + [300] * AFTER,
        "II": [300] * BEFORE + [500] * AFTER,
        "TDE": [0] * BEFORE + [200] * AFTER,
    }
    series = days_of("ztf", {"classified": [1000] * 24 * DAYS}, classes)
    firing = {"14d": [], f"{BEFORE}h": [], f"{BEFORE + 30}h": ["NightjarClassMixDrift"]}
    run(promtool, tmp_path, series=series, step="1h", firing=firing)


def test_drift_stays_silent_for_a_small_shift_and_for_few_alerts(promtool: str, tmp_path: Path) -> None:
    small = {
        "Ia": [700] * BEFORE + [550] * AFTER,
        "II": [300] * BEFORE + [450] * AFTER,
    }
    few = {"Ia": [10] * BEFORE + [0] * AFTER, "II": [0] * BEFORE + [10] * AFTER}
    series = {**days_of("ztf", {}, small), **days_of("lsst", {}, few)}
    run(promtool, tmp_path, series=series, step="1h", firing={f"{BEFORE + 30}h": []})


def test_first_days_of_a_survey_are_no_drift(promtool: str, tmp_path: Path) -> None:
    series = days_of("lsst", {}, {"Ia": [700] * 24 * DAYS, "II": [300] * 24 * DAYS})
    run(promtool, tmp_path, series=series, step="1h", firing={"6h": [], "30h": [], "50h": []})


def test_more_abstentions_than_usual_are_noticed(promtool: str, tmp_path: Path) -> None:
    outcomes = {
        "classified": [900] * BEFORE + [500] * AFTER,
        "abstained": [100] * BEFORE + [500] * AFTER,
    }
    firing = {f"{BEFORE}h": [], f"{BEFORE + 30}h": ["NightjarAbstaining"]}
    run(promtool, tmp_path, series=days_of("ztf", outcomes, {}), step="1h", firing=firing)


def test_every_alert_is_tried() -> None:
    tried = {*DISTURBANCES, "NightjarClassMixDrift", "NightjarAbstaining"}
    assert tried == {rule.name for rule in rules() if rule.alert}
