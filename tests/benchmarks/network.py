"""Cost of one step of the network on one core, beside PyTorch's.

Run as ``python -m tests.benchmarks.network [--batch 512]``; the last line is one JSON object. The two
take turns, and medians of the rounds are given in CPU time, so that what else the machine does falls on
both and least on either.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from service.core.network.inference import StepNetwork
from service.core.network.spec import NetworkSpec, paper_network
from tests.support.bundles import random_bundle, random_weights
from training.model.network import Network

REPEATS = 20


class TorchSteps:
    """PyTorch's cells with the same weights: one step at a time, whole batch at once."""

    def __init__(self, spec: NetworkSpec) -> None:
        self.network = Network(spec).eval()
        self.network.import_weights(random_weights(spec))
        self.cells = [nn.GRUCell(layer.input_size, layer.hidden_size) for layer in self._layers()]
        for cell, layer in zip(self.cells, self._layers(), strict=True):
            state = {name.removesuffix("_l0"): value for name, value in layer.state_dict().items()}
            cell.load_state_dict(state)

    def _layers(self) -> list[nn.GRU]:
        return [layer for layer in self.network.gru if isinstance(layer, nn.GRU)]

    def step(self, x: Tensor, hidden: list[Tensor], metadata: Tensor | None) -> Tensor:
        for index, cell in enumerate(self.cells):
            hidden[index] = x = cell(x, hidden[index])
        return self.network.classify(x.unsqueeze(1), metadata)[:, 0]


def microseconds(work: Callable[[], object], batch: int) -> float:
    """Give the CPU time of one call per row of the batch."""
    start = time.process_time()
    for _ in range(REPEATS):
        work()
    return (time.process_time() - start) / REPEATS / batch * 1e6


@torch.no_grad()
def measure(spec: NetworkSpec, batch: int, rounds: int) -> dict[str, float]:
    """Time one step and its output for a batch, ours and PyTorch's in turns."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(batch, spec.n_inputs)).astype(np.float32)
    metadata = generator.normal(size=(batch, spec.n_metadata)).astype(np.float32) if spec.metadata else None
    ours = StepNetwork(spec, random_weights(spec))
    hidden = ours.initial_hidden(batch)
    baseline = TorchSteps(spec)
    torch_x, torch_metadata = torch.from_numpy(x), None if metadata is None else torch.from_numpy(metadata)
    torch_hidden = [torch.zeros(batch, size) for size in spec.gru]
    works: dict[str, Callable[[], object]] = {
        "advance_us": lambda: ours.advance(hidden, x),
        "outputs_us": lambda: ours.outputs(hidden, metadata),
        "torch_us": lambda: baseline.step(torch_x, torch_hidden, torch_metadata),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            times[name].append(microseconds(work, batch))
    # The first round compiles.
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def main() -> None:
    """Measure the paper's network and a network of its size with all that ours may have."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--json", action="store_true", help="as always: one line of JSON")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    arguments.rounds = min(arguments.rounds, 5) if arguments.quick else arguments.rounds
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    specs = {"paper": paper_network(12), "nightjar": random_bundle(gru=(100, 100)).network}
    report: dict[str, float] = {"batch": arguments.batch}
    for label, spec in specs.items():
        for name, value in measure(spec, arguments.batch, arguments.rounds).items():
            report[f"{label}_{name}"] = round(value, 3)
        report[f"{label}_us_per_step"] = round(
            report[f"{label}_advance_us"] + report[f"{label}_outputs_us"], 3
        )
    print(json.dumps(report))  # noqa: T201  the result


if __name__ == "__main__":
    main()
