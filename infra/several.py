"""Several servers on one database and one Redis, as behind a load balancer."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from infra.running import Running
from infra.shared_store import shared_store


@contextmanager
def several(place: Path, count: int, *, configuration: str, **settings: str) -> Iterator[list[Running]]:
    """Ready servers with the same keys and alias file (`configuration` is its text), each with a data directory of its own. No
    local model is loaded, and there is no handbook. `settings` name the database and Redis."""
    file = place / "genai.toml"
    file.write_text(configuration)
    common = {
        "GENAI_CONFIG": str(file),
        "GENAI_HANDBOOK": "false",
        "GENAI_LOCAL__WARM": "false",
        "GENAI_SECRET_KEY": secrets.token_urlsafe(32),
        "GENAI_ENCRYPTION__KEY": secrets.token_urlsafe(32),
        "GENAI_ADMIN_KEY": secrets.token_urlsafe(32),
        **shared_store(place / "package"),
        **settings,
    }
    with ExitStack() as stack:
        servers: list[Running] = []
        for number in range(count):
            server = Running(place / str(number), **common)
            server.key = common["GENAI_ADMIN_KEY"]
            stack.callback(_ended, server)
            servers.append(server.start())
        yield servers


def _ended(server: Running) -> None:
    if server.process is not None:
        server.stop()
