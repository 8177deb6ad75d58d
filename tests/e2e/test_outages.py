"""What servers stand on goes away and comes back; `make prove` has it for half a minute each, with a look at the clock."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.bench import away
from infra.bench.outages import codes


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("chosen", "more", "refused"),
    [
        (away.REDIS, {"GENAI_BUDGETS__WITHOUT_STORE": "refuse"}, {"budgets_unavailable"}),
        (away.REDIS, {"GENAI_BUDGETS__WITHOUT_STORE": "admit"}, set[str]()),
        (away.DATABASE, {}, set[str]()),
    ],
    ids=["redis, closed", "redis, open", "database"],
)
async def test_nobody_hangs_nothing_is_lost_and_each_change_is_told_once(
    tmp_path: Path, chosen: Sequence[away.Outage], more: dict[str, str], refused: set[str]
) -> None:
    # a machine that does much else is late at everything
    found, counts = await away.outages(
        tmp_path, chosen, servers=1, per_s=8, there_s=0.5, away_s=2, GENAI_REDIS__WAIT_S="0.5", **more
    )
    assert counts["rows"] == counts["calls"] == counts["answered"]
    for outage in chosen:
        seen = found[outage.name]
        told = {name: times for name, times in seen.told.items() if name in (outage.gone, outage.back)}
        assert told == {outage.gone: 1, outage.back: 1}
        assert set(codes(seen.away)) - {"200"} == refused
        by_rate = [answer for answer in seen.away if answer.caller == away.RATE]
        assert set(codes(by_rate)) == {"200"}
