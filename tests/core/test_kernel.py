from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.core.network.inference import StepNetwork
from service.core.network.kernel import dense_layer, sigmoid, tanh
from service.core.network.spec import paper_network
from tests.support.bundles import random_bundle, random_weights

# The first example may compile.
NETWORK = StepNetwork(random_bundle().network, random_bundle().weights)
PAPER = StepNetwork(paper_network(12), random_weights(paper_network(12), seed=3))
N_ROWS = 53  # three blocks of rows and a partial one


def inputs(
    network: StepNetwork, n: int = N_ROWS, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    generator = np.random.default_rng(seed)
    hidden = generator.uniform(-1, 1, (n, network.spec.n_hidden)).astype(np.float32)
    return hidden, generator.normal(0, 2, (n, network.spec.n_inputs)).astype(np.float32)


def advanced(network: StepNetwork, rows: NDArray[np.int64] | slice) -> NDArray[np.float32]:
    hidden, x = inputs(network)
    return network.advance(np.ascontiguousarray(hidden[rows]), np.ascontiguousarray(x[rows]))


@pytest.mark.parametrize(
    ("ours", "reference"),
    [(tanh, np.tanh), (sigmoid, lambda x: 1 / (1 + np.exp(-x)))],
    ids=["tanh", "sigmoid"],
)
def test_activation_is_accurate_over_its_whole_range(ours: np.ufunc, reference: np.ufunc) -> None:
    x = np.concatenate([np.linspace(-20, 20, 40_001), [0, 1e-30, -1e-30, 3e38, -3e38]]).astype(np.float32)
    y = np.array([ours(value) for value in x])
    with np.errstate(over="ignore"):
        expected = reference(x.astype(np.float64))
    assert np.abs(y - expected).max() < 4e-7
    assert np.abs(y).max() <= 1 + 2e-7


def test_tanh_keeps_small_values() -> None:
    x = np.logspace(-30, 0, 1000).astype(np.float32)
    y = np.array([tanh(value) for value in x])
    np.testing.assert_allclose(y, np.tanh(x.astype(np.float64)), rtol=5e-7)


@given(st.lists(st.integers(0, N_ROWS - 1), min_size=1, max_size=2 * N_ROWS))
@pytest.mark.parametrize("network", [NETWORK, PAPER], ids=["small", "paper"])
def test_row_advances_to_the_same_bits_in_any_company(network: StepNetwork, rows: list[int]) -> None:
    index = np.array(rows)
    assert advanced(network, index).tobytes() == advanced(network, slice(None))[index].tobytes()


@given(st.lists(st.integers(0, N_ROWS), max_size=6))
@pytest.mark.parametrize("network", [NETWORK, PAPER], ids=["small", "paper"])
def test_batch_cut_anywhere_advances_to_the_same_bits(network: StepNetwork, cuts: list[int]) -> None:
    edges = sorted({0, N_ROWS, *cuts})
    parts = [advanced(network, slice(first, last)) for first, last in pairwise(edges)]
    assert np.concatenate(parts).tobytes() == advanced(network, slice(None)).tobytes()


@given(st.permutations(range(N_ROWS)), st.integers(1, N_ROWS))
@pytest.mark.parametrize("network", [NETWORK, PAPER], ids=["small", "paper"])
def test_row_has_the_same_logits_in_any_company(network: StepNetwork, order: list[int], n: int) -> None:
    hidden, _ = inputs(network)
    metadata = np.random.default_rng(1).normal(size=(N_ROWS, network.spec.n_metadata)).astype(np.float32)
    index = np.array(order[:n])
    has_branch = network.spec.metadata is not None
    whole = network.outputs(hidden, metadata if has_branch else None)
    part = network.outputs(hidden[index], metadata[index] if has_branch else None)
    assert part.tobytes() == whole[index].tobytes()


@pytest.mark.parametrize("size", [1, 3, 31, 32, 33, 100])
def test_step_equals_the_equations_of_a_gru(size: int) -> None:
    spec = random_bundle(gru=(size, 5), metadata=False).network
    weights = random_weights(spec, seed=7)
    network = StepNetwork(spec, weights)
    hidden, x = inputs(network, 20)
    before, after = hidden.astype(np.float64), network.advance(hidden.copy(), x)
    layer_input, at = x.astype(np.float64), 0
    for index, units in enumerate(spec.gru):
        w = {name: weights[f"gru.{index}.{name}"].astype(np.float64)
             for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}  # fmt: skip
        h = before[:, at : at + units]
        from_x = layer_input @ w["weight_ih"].T + w["bias_ih"]
        from_h = h @ w["weight_hh"].T + w["bias_hh"]
        r, z = (
            1 / (1 + np.exp(-(from_x + from_h)[:, gate * units : (gate + 1) * units])) for gate in range(2)
        )
        n = np.tanh(from_x[:, 2 * units :] + r * from_h[:, 2 * units :])
        layer_input = (1 - z) * n + z * h
        np.testing.assert_allclose(after[:, at : at + units], layer_input, atol=3e-6)
        at += units


@pytest.mark.parametrize("activation", [0, 1, 2])
def test_dense_layer_equals_its_equation(activation: int) -> None:
    generator = np.random.default_rng(2)
    x, weight = generator.normal(size=(21, 13)).astype("f4"), generator.normal(size=(13, 32)).astype("f4")
    bias = generator.normal(size=32).astype("f4")
    out = np.empty((21, 32), np.float32)
    dense_layer(x, weight, bias, activation, out)
    sums = x.astype(np.float64) @ weight + bias
    expected = [sums, np.tanh(sums), np.maximum(sums, 0)][activation]
    np.testing.assert_allclose(out, expected, atol=3e-6)


def test_sums_are_taken_term_by_term_without_fusing() -> None:
    # 1 + 2^-12 squared needs 25 bits: rounded before the addition it leaves no remainder, fused it does.
    a = np.float32(1 + 2**-12)
    x, weight = np.array([[a, 1]], np.float32), np.zeros((2, 32), np.float32)
    weight[0], weight[1] = a, -np.float32(a * a)
    out = np.empty((1, 32), np.float32)
    dense_layer(x, weight, np.zeros(32, np.float32), 0, out)
    assert not out.any()
