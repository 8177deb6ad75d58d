"""Key and secret services for tests of what calls them, found by the clouds' usual variables."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core import cloud_services
from tests.fakes.key_services import KeyServices


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyServices]:
    """Credentials are found anew for each test, as a process finds them at its start."""
    for remembered in (cloud_services._google_credentials, cloud_services._azure_credential):
        remembered.cache_clear()
    with KeyServices() as running:
        for name, value in running.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield running
