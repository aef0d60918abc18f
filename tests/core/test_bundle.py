import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from service.core.alerts import Survey
from service.core.models.bundle import load_bundle, shipped_bundles, write_bundle
from service.errors import BundleError
from tests.support.bundles import CLASS_NAMES, random_bundle, write_random_bundle

Edit = Callable[[dict[str, Any]], object]


def edit_card(directory: Path, edit: Edit) -> None:
    path = directory / "bundle.json"
    card = json.loads(path.read_text())
    edit(card)
    path.write_text(json.dumps(card))


def edit_weights(directory: Path, edit: Edit) -> None:
    """Change the weights and their hash with them."""
    path = directory / "weights.safetensors"
    weights: dict[str, Any] = {name: array.copy() for name, array in load_file(path).items()}
    edit(weights)
    save_file(weights, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_card(directory, lambda card: card.update(weights_sha256=digest))


def test_bundle_comes_back_as_it_was_written(tmp_path: Path) -> None:
    bundle = random_bundle(survey=Survey.LSST, seed=5)
    write_bundle(bundle, tmp_path)
    loaded = load_bundle(tmp_path)
    assert loaded.card == bundle.card
    assert loaded.readme == bundle.readme
    assert loaded.digest == bundle.digest
    assert {name: array.tobytes() for name, array in loaded.weights.items()} == {
        name: array.tobytes() for name, array in bundle.weights.items()
    }
    assert loaded.class_names == CLASS_NAMES
    assert loaded.class_ids == (2222, 2223, 2224, 2242, 2243, 2332, 2100)
    assert loaded.survey is Survey.LSST
    assert loaded.window_days == (-30.0, 70.0)


def test_same_bundle_is_written_as_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write_random_bundle(tmp_path / name, seed=2) for name in ("one", "two"))
    for name in ("bundle.json", "weights.safetensors", "README.md"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_digest_tells_models_apart_but_not_layouts(tmp_path: Path) -> None:
    assert random_bundle(seed=1).digest != random_bundle(seed=2).digest
    assert random_bundle().digest != random_bundle(version="1").digest
    digest = load_bundle(write_random_bundle(tmp_path)).digest
    assert 0 < digest < 2**64
    card = json.loads((tmp_path / "bundle.json").read_text())
    (tmp_path / "bundle.json").write_text(json.dumps(dict(reversed(card.items())), indent=7))
    assert load_bundle(tmp_path).digest == digest


def test_weights_of_a_loaded_bundle_cannot_be_changed(tmp_path: Path) -> None:
    weights = load_bundle(write_random_bundle(tmp_path)).weights
    with pytest.raises(ValueError, match="read-only"):
        weights["output.bias"][0] = 1.0


def without(name: str) -> Edit:
    return lambda content: content.pop(name)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda card: card.update(format_version=2), "format_version"),
        (lambda card: card.update(surprise=1), "surprise: Extra inputs"),
        (without("calibration"), "calibration: Field required"),
        (lambda card: card["features"].update(version=99), "feature version 99"),
        (lambda card: card["features"]["columns"].append("magic"), "unknown feature columns: magic"),
        (lambda card: card["features"]["columns"].append("peak"), "14 inputs for 15 columns"),
        (lambda card: card["classes"].pop(), "7 outputs for 6 classes"),
        (lambda card: card["classes"][0].update(class_id=2224), "taxonomy id 2222, not 2224"),
        (lambda card: card["classes"][0].update(name="Nova"), "'Nova' has no taxonomy id"),
        (lambda card: card["classes"].__setitem__(1, card["classes"][0]), "listed twice"),
        (lambda card: card["network"].update(n_classes="7"), "network.n_classes"),
        (lambda card: card["network"]["gru"].append(8), "weights lack gru.2"),
        (lambda card: card["calibration"].update(temperature=[1.0]), "same length"),
        (lambda card: card.update(survey="des"), "survey"),
        (lambda card: card.update(name="../escape"), "name"),
        (lambda card: card.update(weights_sha256="0" * 64), "does not match weights_sha256"),
        (lambda card: card.update(min_detections=0), "min_detections"),
    ],
)
def test_card_that_does_not_fit_is_refused(tmp_path: Path, edit: Edit, message: str) -> None:
    edit_card(write_random_bundle(tmp_path), edit)
    with pytest.raises(BundleError) as error:
        load_bundle(tmp_path)
    assert message in str(error.value)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (without("gru.0.bias_ih"), "weights lack gru.0.bias_ih"),
        (lambda w: w.update(extra=np.zeros(1, np.float32)), "unknown arrays: extra"),
        (
            lambda w: w.update({"output.bias": np.zeros(8, np.float32)}),
            "output.bias has shape (8,), not (7,)",
        ),
        (lambda w: w.update({"output.bias": np.zeros(7)}), "output.bias is float64"),
        (lambda w: w["output.bias"].__setitem__(0, np.inf), "output.bias holds values that are not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, edit: Edit, message: str) -> None:
    edit_weights(write_random_bundle(tmp_path), edit)
    with pytest.raises(BundleError) as error:
        load_bundle(tmp_path)
    assert message in str(error.value)


def test_flipped_bit_in_the_weights_is_noticed(tmp_path: Path) -> None:
    path = write_random_bundle(tmp_path) / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="does not match"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95 a pickle", b"\xff" * 64])
def test_weights_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (write_random_bundle(tmp_path) / "weights.safetensors").write_bytes(content)
    edit_card(tmp_path, lambda card: card.update(weights_sha256=hashlib.sha256(content).hexdigest()))
    with pytest.raises(BundleError):
        load_bundle(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{", "null", '{"format_version": NaN}'])
def test_card_that_is_no_card_is_refused(tmp_path: Path, content: str) -> None:
    (write_random_bundle(tmp_path) / "bundle.json").write_text(content)
    with pytest.raises(BundleError):
        load_bundle(tmp_path)


def test_missing_weights_file_is_named(tmp_path: Path) -> None:
    (write_random_bundle(tmp_path) / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match=r"cannot be read.*weights\.safetensors"):
        load_bundle(tmp_path)


def test_unknown_model_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(BundleError) as error:
        load_bundle("no-such-model")
    assert "'no-such-model'" in str(error.value)
    assert all(name in str(error.value) for name in shipped_bundles())


@pytest.mark.parametrize("name", sorted(shipped_bundles()))
def test_shipped_bundle_loads_by_its_name_and_has_a_model_card(name: str) -> None:
    bundle = load_bundle(name)
    assert bundle.readme.startswith("#")
    assert bundle.card.provenance
