"""All of retrieval, composed: what a process shares, and what each event loop builds on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.database import keyring_of
from core.errors import Unavailable
from core.files import Files
from core.settings import Settings
from providers.cross_encoder import CrossEncoder
from retrievers import STORES
from retrievers.base import Shelf, VectorStore
from retrievers.sketches import Sketches
from retrievers.store_words import WordIndex, open_words

if TYPE_CHECKING:
    from core.database import Database
    from core.encryption.keyring import Keyring
    from core.queue import Queue
    from providers.models import Models
    from retrievers.collections import Collections
    from retrievers.dead_letters import DeadLetters
    from retrievers.documents import Documents
    from retrievers.following import Following
    from retrievers.forgetting import Forgetting
    from retrievers.generations import Generation, Generations
    from retrievers.holds import Holds
    from retrievers.indexing import Indexer
    from retrievers.rereading import Rereading
    from retrievers.search import Searcher
    from retrievers.sources.catalogue import Sources
    from retrievers.sources.crawling import Crawling
    from retrievers.sources.crawls import Crawls
    from retrievers.unpacking import Unpacker


@dataclass(frozen=True, slots=True)
class Resources:
    """What a process opens once and all of its event loops share. Thread-safe.

    `store` is that of new collections, whose embedding model is the alias `embeddings`; `others` are those beside it, by name.
    """

    store: VectorStore
    lexical: WordIndex
    files: Files
    models: "Models"
    keyring: "Keyring"
    #: None where the operator has configured none.
    cross_encoder: CrossEncoder | None = None
    store_name: str = "chroma"
    embeddings: str = "embeddings"
    others: Mapping[str, VectorStore] = field(default_factory=dict)
    asked: Sketches = field(default_factory=Sketches)
    #: The generations that were searched last, and when their rows were read.
    known: "dict[Shelf, tuple[float, Generation]]" = field(default_factory=dict)

    @property
    def opened(self) -> dict[str, VectorStore]:
        """All stores, by name."""
        return {self.store_name: self.store, **self.others}

    @property
    def shareable(self) -> bool:
        """Whether other processes may have the same stores open."""
        return all(store.shareable for store in self.opened.values())

    def store_of(self, name: str) -> VectorStore:
        """The store of that name.

        Raises:
            Unavailable: `store_not_open`: the settings do not name it.
        """
        if (store := self.opened.get(name)) is None:
            raise Unavailable(f"The vector store {name!r} is not opened here.", code="store_not_open")
        return store

    def scrub(self) -> None:
        """Leave nothing in any store of what was deleted. Raises Unavailable."""
        for store in self.opened.values():
            store.scrub()

    def ping(self) -> None:
        """Raises Unavailable when a store does not answer."""
        for store in self.opened.values():
            store.ping()

    def close(self) -> None:
        """Close the stores, not the models, which are the opener's. May be called again."""
        if self.cross_encoder is not None:
            self.cross_encoder.close()
        self.lexical.close()
        for store in self.opened.values():
            store.close()


def open_resources(
    settings: Settings, models: "Models", keyring: "Keyring | None" = None, *, searched: bool = True
) -> Resources:
    """Open the stores; without a keyring with one of their own. Blocks for a second or more: the store's SDK is loaded.
    `searched`: whether the process answers searches, so that it has an index of the words of everything.

    Raises:
        Conflict: `store_not_shareable`: another process has the embedded store open.
        SettingsError: they do not fit the store.
        Unavailable: a store does not answer.
    """
    keyring = keyring or keyring_of(settings)
    opened: dict[str, Any] = {}
    known: dict[Shelf, tuple[float, Generation]] = {}
    try:
        for name in settings.retrieval.stores:
            opened[name] = STORES.load(name)(settings)
        files = Files(settings, keyring)
        named = settings.retrieval.cross_encoder
        return Resources(
            store=opened[settings.retrieval.store],
            lexical=open_words(settings, opened, known, makes=searched),
            files=files,
            models=models,
            keyring=keyring,
            cross_encoder=None if named is None else CrossEncoder(named),
            store_name=settings.retrieval.store,
            embeddings=settings.retrieval.embeddings,
            asked=Sketches(lambda tenant: settings.monitors.on and not models.policies.of(tenant).retention.none),
            others={name: store for name, store in opened.items() if name != settings.retrieval.store},
            known=known,
        )
    except BaseException:
        for store in opened.values():
            store.close()
        raise


@dataclass(frozen=True, slots=True)
class Library:
    """Collections, documents and search on one event loop."""

    settings: Settings
    database: "Database"
    resources: Resources
    collections: "Collections"
    documents: "Documents"
    unpacker: "Unpacker"
    searcher: "Searcher"
    indexer: "Indexer"
    following: "Following"
    forgetting: "Forgetting"
    sources: "Sources"
    crawls: "Crawls"
    crawling: "Crawling"
    holds: "Holds"
    dead_letters: "DeadLetters"
    generations: "Generations"
    rereading: "Rereading"

    @classmethod
    def build(cls, settings: Settings, database: "Database", resources: Resources, queue: "Queue") -> "Library":
        """Cheap: nothing is opened. `database` belongs to the event loop that will use the library."""
        from retrievers.collections import Collections
        from retrievers.dead_letters import DeadLetters
        from retrievers.documents import Documents
        from retrievers.following import Following
        from retrievers.forgetting import Forgetting
        from retrievers.generations import Generations
        from retrievers.holds import Holds
        from retrievers.indexing import Indexer
        from retrievers.rereading import Rereading
        from retrievers.search import Searcher
        from retrievers.sources.catalogue import Sources
        from retrievers.sources.crawling import Crawling
        from retrievers.sources.crawls import Crawls
        from retrievers.sources.handover import Handover
        from retrievers.unpacking import Unpacker

        generations = Generations(database, resources)
        indexer, following = Indexer(settings, resources, generations), Following(database, resources)
        documents = Documents(settings, database, resources.files, indexer, queue)
        return cls(
            settings=settings,
            database=database,
            resources=resources,
            collections=Collections(database, indexer, resources.files),
            documents=documents,
            unpacker=Unpacker(settings, database, resources.files, documents, queue),
            searcher=Searcher(database, resources, following),
            indexer=indexer,
            following=following,
            forgetting=Forgetting(database, resources),
            sources=Sources(settings, database, queue),
            crawls=Crawls(database, lease_s=settings.jobs.lease_s, max_attempts=settings.jobs.max_attempts),
            crawling=Crawling(settings, database, Handover(database, resources.files, documents, queue), resources.files),
            holds=Holds(database, queue),
            dead_letters=DeadLetters(database, documents, queue),
            generations=generations,
            rereading=Rereading(database, indexer, queue),
        )
