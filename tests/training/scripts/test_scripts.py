"""``nightjar-train`` as a user meets it: from a simulation to a scored network, on a bare machine."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from training import cli
from training.data.catalogue import CATALOGUE


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def nightjar_train(*arguments: str | Path) -> Done:
    """Run in this process: importing PyTorch again in every test would take most of the time."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simulation") / "ztf.parquet"
    done = nightjar_train(
        "simulate",
        "--count",
        "60",
        "--selection",
        "bright",
        "--classes",
        "Ia,II,TDE",
        "--detections-only",
        "--output",
        path,
    )
    assert done.returncode == 0, done.stderr
    return path


def test_help_of_the_module_lists_the_commands() -> None:
    command = [sys.executable, "-m", "training", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0
    for name in ("simulate", "packets", "data", "fit", "transfer", "evaluate", "calibrate", "bundle"):
        assert name in done.stdout


def test_data_lists_each_set_whether_it_is_here_and_its_source(tmp_path: Path) -> None:
    (tmp_path / "ztf_tde").mkdir()
    done = nightjar_train("data", "--data", tmp_path)
    assert done.returncode == 0
    for entry in CATALOGUE:
        assert entry.folder in done.stdout
    assert "yes" in done.stdout
    assert "manyTDE" in done.stdout


def test_a_base_network_is_trained_from_a_simulation_and_logged(simulation: Path, tmp_path: Path) -> None:
    output = tmp_path / "base"
    done = nightjar_train(
        "fit", "--simulation", simulation, "--output", output, "--hidden", "8", "--epochs", "2"
    )
    assert done.returncode == 0, done.stderr
    assert "macro AUROC" in done.stderr
    epochs = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [0, 1]
    assert all(epoch["loss"] > 0 for epoch in epochs)
    configuration = json.loads((output / "config.json").read_text())
    assert (configuration["hidden"], configuration["epochs"], configuration["survey"]) == (8, 2, "ztf")
    assert '"hidden": 8' in done.stderr
    card = json.loads((output / "run.json").read_text())
    assert card["network"]["gru"] == [8]
    assert "simulated light curves" in card["history"][0]


def test_the_papers_network_is_selectable(simulation: Path, tmp_path: Path) -> None:
    done = nightjar_train("fit", "--simulation", simulation, "--output", tmp_path, "--paper", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "run.json").read_text())
    assert card["network"]["gru"] == [100, 100]
    assert card["features"]["columns"] == ["wavelength", "paper_time", "paper_flux", "paper_flux_err"]


def test_an_unavailable_device_is_reported(simulation: Path, tmp_path: Path) -> None:
    done = nightjar_train("fit", "--simulation", simulation, "--output", tmp_path, "--device", "cuda:99")
    assert done.returncode == 2
    assert done.stderr.startswith("nightjar-train: --device cuda:99: ")
    assert not (tmp_path / "run.json").exists()


def test_a_table_of_predictions_is_scored(tmp_path: Path) -> None:
    predictions, truth, scores = tmp_path / "p.csv", tmp_path / "t.csv", tmp_path / "s.json"
    predictions.write_text(
        "object_id,n_observations,n_detections,status,reason,probability_Ia,probability_II\n"
        "a,5,5,classified,,0.9,0.1\nb,5,5,classified,,0.2,0.8\nc,0,0,abstained,no_photometry,,\n"
    )
    truth.write_text("object_id,class\na,SN Ia\nb,SN IIP\nc,SN Ia\n")
    done = nightjar_train("evaluate", predictions, "--truth", truth, "--among", "Ia,II", "--output", scores)
    assert done.returncode == 0, done.stderr
    content = json.loads(scores.read_text())["0"]
    assert content["macro_auroc"][0] == 1.0
    assert content["counts"] == {"Ia": 1, "II": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "nothing.csv"), "needs --truth"),
        (("evaluate", "nothing.csv", "--truth", "x.csv"), "nothing.csv: no such file"),
        (("transfer", "--base", "nowhere", "--output", "out"), "nowhere: not a run"),
        (("fit", "--simulation", "nothing.parquet", "--output", "out"), "nothing.parquet"),
    ],
)
def test_errors_are_one_line_that_says_what_is_wrong(arguments: tuple[str, ...], message: str) -> None:
    done = nightjar_train(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
