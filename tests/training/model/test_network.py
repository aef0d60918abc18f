import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from service.core.features.featuriser import pack
from service.core.models.bundle import Bundle
from service.core.network.inference import StepNetwork
from service.core.network.spec import encode_metadata, paper_network
from service.errors import BundleError
from tests.support.bundles import random_bundle, random_weights
from tests.support.curves import random_light_curve
from training.model.network import Network

N, N_STEPS = 9, 40


def metadata_of(bundle: Bundle) -> NDArray[np.float32] | None:
    if bundle.network.metadata is None:
        return None
    redshift = np.linspace(-0.1, 1.0, N).astype(np.float32)
    return encode_metadata(bundle.network.metadata, redshift, (redshift / 3).astype(np.float32))


@pytest.mark.parametrize("has_metadata", [True, False])
@pytest.mark.parametrize("gru", [(16, 12), (100, 100), (7,), (8, 9, 10)])
@torch.no_grad()
def test_service_gives_the_numbers_of_training_at_every_step(
    gru: tuple[int, ...], has_metadata: bool
) -> None:
    bundle = random_bundle(gru=gru, metadata=has_metadata)
    generator = np.random.default_rng(4)
    curves = [random_light_curve(generator, N_STEPS, (1, 2, 3)) for _ in range(N)]
    x = bundle.featuriser.encode(*pack(curves)).x.reshape(N, N_STEPS, -1)
    metadata = metadata_of(bundle)
    trained = Network(bundle.network).eval()
    trained.import_weights(bundle.weights)
    expected = trained(torch.from_numpy(x), None if metadata is None else torch.from_numpy(metadata)).numpy()
    network = StepNetwork(bundle.network, bundle.weights)
    hidden = network.initial_hidden(N)
    for step in range(N_STEPS):
        network.advance(hidden, np.ascontiguousarray(x[:, step]))
        assert np.abs(network.outputs(hidden, metadata) - expected[:, step]).max() < 1e-5


def test_weights_survive_import_and_export() -> None:
    bundle = random_bundle()
    network = Network(bundle.network)
    network.import_weights(bundle.weights)
    exported = network.export_weights()
    assert {name: array.tobytes() for name, array in exported.items()} == {
        name: array.tobytes() for name, array in bundle.weights.items()
    }


@torch.no_grad()
def test_exported_weights_contain_the_input_statistics() -> None:
    spec = paper_network(5, n_inputs=3)
    torch.manual_seed(1)
    network = Network(spec).eval()
    network.set_input_statistics(np.array([1.0, -2.0, 30.0]), np.array([0.5, 3.0, 10.0]))
    x = torch.randn(4, 6, 3) * 5 + 3
    plain = Network(spec).eval()
    plain.import_weights(network.export_weights())
    assert torch.allclose(network(x), plain(x), atol=1e-5)
    network.import_weights(plain.export_weights())
    assert torch.equal(network(x), plain(x))


@torch.no_grad()
def test_steps_do_not_see_what_follows() -> None:
    network = Network(paper_network(5)).eval()
    x = torch.randn(2, 8, 4)
    changed = x.clone()
    changed[:, 5:] = 99.0
    assert torch.equal(network(x)[:, :5], network(changed)[:, :5])
    assert not torch.equal(network(x)[:, 5:], network(changed)[:, 5:])


def test_dropout_works_in_training_alone() -> None:
    torch.manual_seed(0)
    network = Network(paper_network(5), dropout=0.5)
    x = torch.randn(2, 8, 4)
    assert not torch.equal(network.train()(x), network(x))
    assert torch.equal(network.eval()(x), network(x))


def test_every_weight_is_trained() -> None:
    bundle = random_bundle()
    network = Network(bundle.network)
    metadata = metadata_of(bundle)
    assert metadata is not None
    x = torch.randn(N, 5, bundle.network.n_inputs)
    network(x, torch.from_numpy(metadata)).square().sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in network.parameters())


def test_paper_network_has_the_published_number_of_weights() -> None:
    # "About 123,000" for the five classes of the real ZTF objects.
    network = Network(paper_network(5))
    assert sum(value.numel() for value in network.parameters()) == 123_205 == network.spec.n_weights


def test_network_with_metadata_asks_for_it() -> None:
    with pytest.raises(ValueError, match="metadata"):
        Network(random_bundle().network)(torch.zeros(1, 1, 14))


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(BundleError):
        Network(paper_network(5)).import_weights(random_weights(paper_network(6)))
