"""The alerts that are told while a test runs."""

from collections.abc import Iterator

import pytest

from core.alerts import Alert, alerts


@pytest.fixture
def told() -> Iterator[list[Alert]]:
    """The alerts that are told meanwhile."""
    found: list[Alert] = []
    alerts().routes.append(found.append)
    yield found
    alerts().routes.remove(found.append)
