import json
import re
from pathlib import Path

from service.core.models.bundle import load_bundle, shipped_bundles
from tests.support.bundles import CLASS_NAMES, write_random_bundle
from tests.support.command import nightjar


def test_show_prints_what_a_bundle_is(tmp_path: Path) -> None:
    path = write_random_bundle(tmp_path, name="testmodel", version="7.1")
    done = nightjar("model", "show", str(path))
    assert done.returncode == 0, done.stderr
    bundle = load_bundle(path)
    for text in (
        "testmodel 7.1",
        f"{bundle.digest:016x}",
        bundle.card.weights_sha256,
        "log_gap",
        *CLASS_NAMES,
    ):
        assert text in done.stdout
    assert re.search(r"provenance\s+data", done.stdout)


def test_every_name_stands_beside_its_value_in_80_columns() -> None:
    content = json.loads(nightjar("model", "show", "ztf", "--json").stdout)
    lines = nightjar("model", "show", "ztf", COLUMNS="80").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    scores = content["provenance"]["scores"]["Out of fold, no redshift"]["3"]
    place = next(number for number, line in enumerate(lines) if line.rstrip().endswith("no redshift.3"))
    assert lines[place + 1].split()[:2] == ["macro_auroc", f"{scores['macro_auroc'][0]:.6g},"]
    rows = [line.split() for line in lines]
    assert ["digest", content["digest"]] in rows
    assert ["n_inputs", str(content["network"]["n_inputs"])] in rows


def test_show_prints_the_model_card_when_asked(tmp_path: Path) -> None:
    path = write_random_bundle(tmp_path, seed=31)
    assert "Random weights, seed 31" not in nightjar("model", "show", str(path)).stdout
    assert "Random weights, seed 31" in nightjar("model", "show", str(path), "--card").stdout


def test_show_prints_json(tmp_path: Path) -> None:
    path = write_random_bundle(tmp_path)
    content = json.loads(nightjar("model", "show", str(path), "--json").stdout)
    assert [one["name"] for one in content["classes"]] == list(CLASS_NAMES)
    assert content["digest"] == f"{load_bundle(path).digest:016x}"


def test_show_without_a_name_prints_every_shipped_model() -> None:
    done = nightjar("model", "show", "--json")
    names = [load_bundle(name).name for name in sorted(shipped_bundles())]
    assert [json.loads(line)["name"] for line in done.stdout.splitlines()] == names
    assert bool(names) == (done.returncode == 0)


def test_a_name_that_no_model_has_is_wrong_input() -> None:
    done = nightjar("model", "show", "nomodel")
    assert done.returncode == 2
    assert done.stderr.startswith("nightjar: model 'nomodel' is neither a directory")


def test_show_refuses_a_broken_bundle_in_one_line(tmp_path: Path) -> None:
    (write_random_bundle(tmp_path) / "weights.safetensors").write_bytes(b"broken")
    done = nightjar("model", "show", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "does not match weights_sha256" in done.stderr
