"""A platform as it is run in the large, on one machine: servers and workers without a shared disk behind a proxy, on one
PostgreSQL, one Valkey and one file store, before the mock provider."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from infra import shared_files
from infra.bench import gateway
from infra.bench.proxy import Proxy, haproxy_path, proxy
from infra.bench.stores import PostgreSQL, Valkey
from infra.postgresql import database_of_platform, postgresql
from infra.running import Running, wait_until

#: Seconds that the start of a process may take beside others that start or answer.
STARTS_S = 300.0
#: Embeddings that follow from a text's words, without a model; a model that says what it was sent; one before which another
#: fails each time.
_MORE_ALIASES = """\
[[models]]
alias = "echo"
[[models.deployments]]
provider = "openai_compatible:mock"
model = "mock-echo"
[[models]]
alias = "broken"
[[models.deployments]]
provider = "openai_compatible:mock-failing"
model = "mock-failing"
[[models.deployments]]
provider = "openai_compatible:mock"
model = "mock"
[[models]]
alias = "embeddings"
kind = "embeddings"
[[models.deployments]]
provider = "openai_compatible:mock"
model = "mock-words"
"""


class Worker(Running):
    """`make worker`, with a data directory of its own."""

    program = ("-m", "jobs.worker")

    def start(self, *, ready: bool = True, within_s: float = STARTS_S) -> "Worker":
        before = self.output().count("worker.started")
        super().start(ready=False)
        wait_until(lambda: self.output().count("worker.started") > before, within_s=within_s, what="a worker")
        return self


@dataclass(frozen=True, slots=True)
class Cluster:
    """What runs. `key` is the administrator's."""

    servers: Sequence[Running]
    workers: Sequence[Worker]
    proxy: Proxy
    provider: str
    valkey: Valkey
    postgresql: PostgreSQL
    key: str


@contextmanager
def cluster(
    place: Path, *, servers: int, workers: int = 2, balance: str = "leastconn", more: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Cluster]:
    """All of it, ready. `more` are settings of servers and workers.

    Raises:
        Missing: there is no proxy.
    """
    haproxy_path()
    place.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        valkey = stack.enter_context(Valkey(place / "valkey").running())
        provider = stack.enter_context(gateway.mock_provider())
        database = stack.enter_context(postgresql())
        taken_away = PostgreSQL(database)
        common = {
            "GENAI_CONFIG": str(place / "genai.toml"),
            "GENAI_DATABASE_URL": database_of_platform(database, "genai"),
            "GENAI_REDIS_URL": valkey.url,
            "GENAI_FILES_URL": stack.enter_context(shared_files.shared_files()),
            "GENAI_RETRIEVAL__STORE": "pgvector",
            "GENAI_HANDBOOK": "false",
            "GENAI_LOCAL__WARM": "false",
            "GENAI_JOBS__EMBEDDED_WORKER": "false",
            "PYTHONPATH": _knows_files(place / "package"),
            **{f"GENAI_{name}": secrets.token_urlsafe(32) for name in ("SECRET_KEY", "ENCRYPTION__KEY", "ADMIN_KEY")},
            **more,
        }
        (place / "genai.toml").write_text(gateway.aliases(provider) + _MORE_ALIASES)
        started = [Running(place / f"server-{number}", **common) for number in range(servers)]
        working = [Worker(place / f"worker-{number}", **common) for number in range(workers)]
        for one in (*started, *working):
            one.key = common["GENAI_ADMIN_KEY"]
            stack.callback(one.stop)
        started[0].start(within_s=STARTS_S)  # it migrates
        for one in started[1:]:
            one.start(ready=False)
        for worker in working:
            worker.start()
        for one in started[1:]:
            one.wait_for("/api/v1/health/ready", STARTS_S)
        door = stack.enter_context(proxy(started, balance=balance))
        yield Cluster(started, working, door, provider, valkey, taken_away, common["GENAI_ADMIN_KEY"])


def _knows_files(package: Path) -> str:
    """A path by which fsspec knows the scheme of `infra.shared_files`."""
    metadata = package / "kept_files-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: kept-files\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(shared_files.ENTRY_POINT)
    return str(package)
