"""Every vector store that runs here, as the settings of a platform on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.postgresql import database_of_platform, postgresql
from tests import vector_servers

#: Stores of one process, and those that are servers.
EMBEDDED, SERVERS = ("chroma", "qdrant"), ("pgvector", "chroma_server")


@dataclass(frozen=True, slots=True)
class OnStore:
    """The settings of a platform on a store. `database` is PostgreSQL's address as its superuser, from whom no row is
    hidden; None on SQLite."""

    settings: dict[str, str]
    database: str | None = None


@contextmanager
def store_server(name: str, place: Path) -> Iterator[OnStore]:
    """The store's server, where it has one, runs for the block with its data in `place`."""
    place.mkdir(parents=True, exist_ok=True)
    named = {"GENAI_RETRIEVAL__STORE": name}
    if name == "pgvector":
        with postgresql() as server:
            url = database_of_platform(server, "genai")
            yield OnStore(named | {"GENAI_DATABASE_URL": url}, server.get_uri(database="genai"))
    elif name == "chroma_server":
        with vector_servers.chroma(place) as url:
            yield OnStore(named | {"GENAI_RETRIEVAL__CHROMA_URL": url})
    else:
        yield OnStore(named)
