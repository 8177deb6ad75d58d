"""A rollback before two servers under load; `make prove` has it on four, at its full count."""

from pathlib import Path

import pytest

from infra.bench.rollback import rolled_back


@pytest.mark.one_database
async def test_a_rollback_reaches_every_process_and_no_request_is_of_two_versions(tmp_path: Path) -> None:
    figures = await rolled_back(tmp_path, per_s=20, seconds=1.5, servers=2)
    assert (figures["failed"], figures["mixed"]) == (0, 0)
