"""Fixtures of the tests of backups."""

from collections.abc import Callable
from pathlib import Path

import pytest

from core.settings import Settings
from tests.core.backup.filled import Place, fill


@pytest.fixture
def place(prepared: Settings, tmp_path: Path) -> Place:
    """On SQLite, filled."""
    fill(prepared)
    return Place(prepared, tmp_path, [])


@pytest.fixture
def elsewhere(tmp_path: Path) -> Callable[..., Settings]:
    """Settings of another, empty machine."""
    return lambda **more: Settings.load(data_dir=tmp_path / "elsewhere", **more)
