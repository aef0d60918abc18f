"""What only the tests of the deployment need."""

import shutil

import pytest


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus' own checker, from Debian's package ``prometheus`` or a release of it."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool on the path: it comes with Prometheus")
    return found
