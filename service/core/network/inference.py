"""Network inference: one step at a time, for many light curves at once."""

import numpy as np
from numpy.typing import NDArray

from service.core.network.kernel import LANES, ROWS, aligned_zeros, dense_layer, gru_step
from service.core.network.spec import DenseSpec, NetworkSpec, Weights, check_weights

__all__ = ["StepNetwork"]

Array = NDArray[np.float32]

_ACTIVATION_CODES = {"linear": 0, "tanh": 1, "relu": 2}


class StepNetwork:
    """A network with its weights in the layout of `service.core.network.kernel`.

    Each row of a result depends, bit for bit, only on the same row of the arguments.

    Parameters
    ----------
    spec
        Architecture of the network.
    weights
        Arrays by the names of `NetworkSpec.shapes`.

    Raises
    ------
    BundleError
        If the weights do not match the architecture.
    """

    def __init__(self, spec: NetworkSpec, weights: Weights) -> None:
        self.spec = spec
        checked = check_weights(spec, weights)
        self._gru = [_GruLayer(checked, index, size) for index, size in enumerate(spec.gru)]
        self._trunk = _dense_layers(checked, "trunk", spec.trunk)
        self._metadata = _dense_layers(checked, "metadata", spec.metadata.layers if spec.metadata else ())
        self._head = _dense_layers(checked, "head", spec.head)
        self._output = _DenseLayer(checked, "output", "linear")

    def initial_hidden(self, n: int) -> Array:
        """Return the hidden states before the first step.

        Parameters
        ----------
        n
            Number of light curves.

        Returns
        -------
        ndarray, shape (n, n_hidden), float32
            Zeros.
        """
        return np.zeros((n, self.spec.n_hidden), np.float32)

    def advance(self, hidden: Array, x: Array) -> Array:
        """Advance hidden states by one step, in place.

        Parameters
        ----------
        hidden
            float32, shape (n, n_hidden), C order, writeable: all layers, first to last.
        x
            float32, shape (n, n_inputs), C order.

        Returns
        -------
        ndarray
            `hidden`.
        """
        source, source_column, column = x, 0, 0
        for layer in self._gru:
            layer.step(source, source_column, hidden, column)
            source, source_column = hidden, column
            column += layer.size
        return hidden

    def outputs(self, hidden: Array, metadata: Array | None = None) -> Array:
        """Return the logits that belong to hidden states.

        Parameters
        ----------
        hidden
            float32, shape (n, n_hidden).
        metadata
            float32, shape (n, n_metadata), from `encode_metadata`; None for a network without metadata.

        Returns
        -------
        ndarray, shape (n, n_classes), float32

        Raises
        ------
        ValueError
            If metadata are missing, or given to a network without the branch.
        """
        if (metadata is None) != (self.spec.metadata is None):
            raise ValueError("metadata must be given if and only if the network has a metadata branch")
        values = _run(self._trunk, np.ascontiguousarray(hidden[:, -self.spec.gru[-1] :]))
        if metadata is not None:
            branch = _run(self._metadata, np.ascontiguousarray(metadata))
            values = np.concatenate([values, branch], axis=1)
        return _run([*self._head, self._output], values)

    def replay(
        self, x: Array, offsets: NDArray[np.int64], hidden: Array, n_steps_wanted: NDArray[np.int64]
    ) -> tuple[Array, Array]:
        """Run sequences of any lengths from given hidden states.

        All sequences run together, longest first, so that each step is one call for all that have that step.

        Parameters
        ----------
        x
            float32, shape (n_steps, n_inputs): sequences end to end.
        offsets
            int64, shape (n + 1,): rows ``offsets[i]:offsets[i + 1]`` of `x` are sequence i.
        hidden
            float32, shape (n, n_hidden): initial states; not modified.
        n_steps_wanted
            int64, shape (n,): number of steps of each sequence after which its state is also returned.

        Returns
        -------
        final : ndarray, shape (n, n_hidden), float32
            States after the last step of each sequence.
        wanted : ndarray, shape (n, n_hidden), float32
            States after `n_steps_wanted` steps.
        """
        lengths = np.diff(offsets)
        order = np.argsort(-lengths, kind="stable")
        states = np.ascontiguousarray(hidden[order])
        starts, stops = offsets[:-1][order], n_steps_wanted[order]
        sorted_wanted = states.copy()
        # Number of sequences that have step 0, 1, ...: these are the first rows.
        n_steps = int(lengths.max(initial=0))
        n_running = len(lengths) - np.searchsorted(lengths[order][::-1], np.arange(n_steps), side="right")
        for step, n in enumerate(n_running.tolist()):
            self.advance(states[:n], x[starts[:n] + step])
            is_wanted = stops[:n] == step + 1
            sorted_wanted[:n][is_wanted] = states[:n][is_wanted]
        final, wanted = np.empty_like(states), np.empty_like(states)
        final[order], wanted[order] = states, sorted_wanted
        return final, wanted


class _GruLayer:
    """Weights of one GRU: transposed, gates in the kernel's order, padded to whole vectors."""

    def __init__(self, weights: Weights, index: int, size: int) -> None:
        self.size = size
        name = f"gru.{index}"
        reset, update, new = (slice(gate * size, (gate + 1) * size) for gate in range(3))
        from_x = [weights[f"{name}.weight_ih"][gate].T for gate in (new, reset, update)]
        from_h = [weights[f"{name}.weight_hh"][gate].T for gate in (reset, update, new)]
        # The input contributes to the sums from column 0 on, the state from column `size` on, rounded down to
        # a whole vector. The padding weights are zero.
        first_h = size // LANES * LANES
        width_h = _padded(4 * size - first_h)
        self._weight_x = aligned_zeros(from_x[0].shape[0], _padded(3 * size))
        self._weight_x[:, : 3 * size] = np.concatenate(from_x, axis=1)
        self._weight_h = aligned_zeros(size, width_h)
        self._weight_h[:, size - first_h : 4 * size - first_h] = np.concatenate(from_h, axis=1)
        bias_x, bias_h = weights[f"{name}.bias_ih"], weights[f"{name}.bias_hh"]
        self._bias = aligned_zeros(1, first_h + width_h)[0]
        self._bias[: 4 * size] = np.concatenate(
            [bias_x[new], bias_x[reset] + bias_h[reset], bias_x[update] + bias_h[update], bias_h[new]]
        )

    def step(self, x: Array, x_column: int, hidden: Array, column: int) -> None:
        """Advance columns ``column : column + size`` of `hidden` by one step.

        Parameters
        ----------
        x, x_column
            Input, float32, shape (n, >= x_column + inputs), and its first column.
        hidden, column
            float32, shape (n, n_hidden), modified, and the first column of this layer's state.
        """
        sums = aligned_zeros(ROWS, len(self._bias))  # per call, because calls may run in parallel
        gru_step(x, x_column, hidden, column, self.size, self._weight_x, self._weight_h, self._bias, sums)


class _DenseLayer:
    """Weights of one dense layer, transposed and padded to whole vectors."""

    def __init__(self, weights: Weights, name: str, activation: str) -> None:
        weight = weights[f"{name}.weight"]
        self.size = len(weight)
        self._activation = _ACTIVATION_CODES[activation]
        self._weight = aligned_zeros(weight.shape[1], _padded(self.size))
        self._weight[:, : self.size] = weight.T
        self._bias = aligned_zeros(1, _padded(self.size))[0]
        self._bias[: self.size] = weights[f"{name}.bias"]

    def run(self, x: Array) -> Array:
        """Return the layer's output.

        Parameters
        ----------
        x
            float32, shape (n, >= inputs), C order.

        Returns
        -------
        ndarray, shape (n, padded size), float32
        """
        out = aligned_zeros(len(x), len(self._bias))
        dense_layer(x, self._weight, self._bias, self._activation, out)
        return out


def _dense_layers(weights: Weights, name: str, layers: tuple[DenseSpec, ...]) -> list[_DenseLayer]:
    return [_DenseLayer(weights, f"{name}.{index}", layer.activation) for index, layer in enumerate(layers)]


def _run(layers: list[_DenseLayer], values: Array) -> Array:
    for layer in layers:
        values = layer.run(values)
    return np.ascontiguousarray(values[:, : layers[-1].size]) if layers else values


def _padded(width: int) -> int:
    return -(-width // LANES) * LANES
