import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.core.network.inference import StepNetwork
from service.core.network.spec import encode_metadata
from service.errors import BundleError
from tests.support.bundles import random_bundle

BUNDLE = random_bundle()
NETWORK = StepNetwork(BUNDLE.network, BUNDLE.weights)


def sequences(lengths: list[int]) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    generator = np.random.default_rng(sum(lengths))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    x = generator.normal(size=(offsets[-1], NETWORK.spec.n_inputs)).astype(np.float32)
    return x, offsets, generator.uniform(-1, 1, (len(lengths), NETWORK.spec.n_hidden)).astype(np.float32)


@given(st.lists(st.integers(0, 12), max_size=30), st.data())
def test_replay_of_ragged_sequences_equals_one_step_at_a_time(
    lengths: list[int], data: st.DataObject
) -> None:
    x, offsets, begin = sequences(lengths)
    asked = np.array([data.draw(st.integers(0, length)) for length in lengths], np.int64)
    before = begin.copy()
    final, wanted = NETWORK.replay(x, offsets, begin, asked)
    for index, length in enumerate(lengths):
        hidden = before[index : index + 1].copy()
        states = [hidden.copy()]
        for step in range(length):
            NETWORK.advance(hidden, x[offsets[index] + step][np.newaxis])
            states.append(hidden.copy())
        assert final[index].tobytes() == states[length].tobytes()
        assert wanted[index].tobytes() == states[asked[index]].tobytes()
    assert begin.tobytes() == before.tobytes()


def test_replay_in_two_parts_equals_one() -> None:
    x, offsets, begin = sequences([9])
    whole, _ = NETWORK.replay(x, offsets, begin, np.array([9]))
    half, _ = NETWORK.replay(x[:4], np.array([0, 4]), begin, np.array([4]))
    rest, _ = NETWORK.replay(x[4:], np.array([0, 5]), half, np.array([5]))
    assert rest.tobytes() == whole.tobytes()


def test_metadata_change_the_logits_and_a_missing_value_is_not_zero() -> None:
    spec = BUNDLE.network.metadata
    assert spec is not None
    hidden = np.repeat(sequences([1])[2], 3, axis=0)
    redshift = np.array([0.1, np.nan, np.exp(-2.0)], np.float32)  # the last one is encoded as 0
    metadata = encode_metadata(spec, redshift, np.zeros(3, np.float32))
    logits = NETWORK.outputs(hidden, metadata)
    assert len(np.unique(logits, axis=0)) == 3


@pytest.mark.parametrize("redshift", [-9.0, 0.0, np.nan])
def test_impossible_metadata_are_missing(redshift: float) -> None:
    spec = BUNDLE.network.metadata
    assert spec is not None
    encoded = encode_metadata(spec, np.array([redshift], np.float32), np.array([-1.0], np.float32))
    assert encoded.tolist() == [[0, 1, 0, 1]]


def test_metadata_are_encoded_in_the_order_of_the_columns() -> None:
    spec = random_bundle().network.metadata
    assert spec is not None
    both = spec.model_copy(update={"columns": ("mwebv", "redshift")})
    encoded = encode_metadata(both, np.array([0.5], np.float32), np.array([0.25], np.float32))
    assert encoded.tolist() == [[0.25, 0, 0.5, 0]]


def test_metadata_are_asked_for_exactly_where_there_is_a_branch() -> None:
    hidden = NETWORK.initial_hidden(1)
    with pytest.raises(ValueError, match="metadata"):
        NETWORK.outputs(hidden)
    plain = random_bundle(metadata=False)
    with pytest.raises(ValueError, match="metadata"):
        StepNetwork(plain.network, plain.weights).outputs(hidden, np.zeros((1, 4), np.float32))


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(BundleError, match=r"gru\.0\.weight_ih has shape"):
        StepNetwork(BUNDLE.network, random_bundle(gru=(17, 12)).weights)
