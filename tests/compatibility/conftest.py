"""The code of the commit before, and services made as in the integration tests."""

import pytest

from tests.compatibility.earlier import EarlierCode, earlier_code
from tests.compatibility.stored import COMMIT
from tests.integration.conftest import deploy, models

__all__ = ["deploy", "models"]


@pytest.fixture(scope="session")
def earlier(pytestconfig: pytest.Config) -> EarlierCode:
    """Return the code of the commit that wrote the fixtures, or skip."""
    assert pytestconfig.cache is not None
    return earlier_code(COMMIT, pytestconfig.cache.mkdir("earlier-code"))
