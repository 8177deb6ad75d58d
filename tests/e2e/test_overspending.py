"""A budget before two servers at once; `make prove` has it at its full count."""

from pathlib import Path

import pytest

from infra.bench.overspending import overspent


@pytest.mark.one_database
async def test_two_servers_together_spend_what_there_is_and_no_more(tmp_path: Path) -> None:
    figures = await overspent(tmp_path, asked=24, room=6, killed=False, servers=2)
    assert (figures["answered"], figures["refused"]) == (6, 18)
