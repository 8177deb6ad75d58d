"""Two servers and two workers behind a real proxy, without a shared disk; `make prove ARGS="rolling apart"` has four, at full
counts."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.bench import apart, rolling
from infra.bench.cluster import Cluster, cluster
from infra.bench.proxy import Missing, haproxy_path

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Without HAProxy the tests are skipped loudly, or fail where REQUIRE_HAPROXY is set."""
    try:
        haproxy_path()
    except Missing as reason:
        message = f"NO HAPROXY: several servers behind a proxy were not tried. {reason}"
        if os.environ.get("REQUIRE_HAPROXY"):
            pytest.fail(message)
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    place: Path = tmp_path_factory.mktemp("cluster") / "platform"
    with cluster(place, servers=2, more=rolling.SETTINGS | apart.SETTINGS) as it:
        yield it


def test_what_one_server_is_told_the_other_knows(two: Cluster) -> None:
    assert apart.apart(two, room=3)["admitted"] == 3


async def test_a_server_is_replaced_under_load_and_no_request_is_lost(two: Cluster) -> None:
    figures = await rolling.rolling(two, callers=6, requests=20, restarted=1)
    assert figures["calls"] == figures["ledger"] > 0
    assert figures["told_server_stopping"] > 0
