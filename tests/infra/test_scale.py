"""What a load needs follows from what its pieces cost."""

import pytest

from infra.bench.scale import PLANNED, Costs, plan


def test_cores_processes_and_memory_follow_from_costs() -> None:
    costs = Costs(
        request={"server": 2.0, "postgresql": 0.5},
        token={"server": 0.05},
        document={"worker": 20.0, "postgresql": 4.0},
        requests_per_s=1,
        stretched=1,
        documents_per_s=1,
        ledger_rows_per_s=1,
        messages_per_s=1,
        server_mb=512,
        worker_mb=512,
        stream_mb=0.1,
    )
    found = plan(costs, streams=1000, tokens_per_s=50, tokens=500, ingestions_per_s=10)
    assert found.server_cores == pytest.approx(
        1000 * 50 * 0.05 / 1000 + 100 * 2 / 1000
    )  # tokens, and 100 streams begun a second
    assert found.server_processes == 5  # 2.7 cores, of each of which so much is planned with
    assert PLANNED == 0.6
    assert (found.worker_cores, found.worker_processes) == (pytest.approx(0.2), 1)
    assert found.postgresql_cores == pytest.approx(100 * 0.5 / 1000 + 10 * 4 / 1000)
    assert found.server_gb == pytest.approx((5 * 512 + 100) / 1024)
    assert found.ledger_rows_per_s == 110
