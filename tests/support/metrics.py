"""Reading a worker's metrics as Prometheus does."""

from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["read_metrics"]

Samples = dict[str, list[tuple[dict[str, str], float]]]


def read_metrics(port: int) -> Samples:
    """Map each sample's name to its labels and values."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        text = response.read().decode()
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found
