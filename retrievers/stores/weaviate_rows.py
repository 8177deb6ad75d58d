"""Chunks as Weaviate's objects, and back; the collection that they are in, and filters in Weaviate's language.

A property has one type in all objects, and a name of ASCII letters, so that attributes cannot be properties of their own: what
a chunk can be filtered by is in one list of marks (`retrievers.filters.marks`).
"""

import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from core.settings import SettingsError
from retrievers.base import Chunk, Shelf
from retrievers.filters import And, Compare, Filter, Not, Or, by_marks, marks, marks_asked, narrow, weakened

if TYPE_CHECKING:
    from weaviate import WeaviateClient
    from weaviate.classes.config import Property
    from weaviate.collections.classes.filters import _Filters

#: The name of the one vector of an object.
VECTOR = "default"
#: What is read to make a chunk again, and to see whose it is.
PROPERTIES = (
    "tenant",
    "chunk_id",
    "document_id",
    "document",
    "revision",
    "text",
    "start",
    "end",
    "page",
    "context",
    "attributes",
)
#: The words of a chunk's text and of its headings, put apart for Weaviate's index of words: Weaviate splits by blanks alone, so
#: that its words are those of `retrievers.word_analysis`.
WORDS, HEADS = "words", "heads"
#: Says that an object was written with its words; which one written before has not.
WORDED = "worded"
#: In front of each word, so that none is one of Weaviate's stop words.
_WORD = "_"
#: Of the identifiers of objects, which Weaviate wants as UUIDs.
_NAMESPACE = uuid.UUID("6f9c8f0e-6d0f-5a3c-9c55-3a1d9a0c7e61")


def make_collection(client: "WeaviateClient", name: str) -> None:
    """Make the collection: a tenant of it, which has an index of its own, is a collection of the platform."""
    from weaviate.classes.config import Configure, DataType, Property, Tokenization, VectorDistances

    def text(name: str, *, kind: DataType = DataType.TEXT, filtered: bool = False) -> Property:
        return Property(
            name=name,
            data_type=kind,
            tokenization=Tokenization.FIELD,
            index_filterable=filtered,
            index_searchable=False,
        )

    def number(name: str, *, filtered: bool = False) -> Property:
        return Property(name=name, data_type=DataType.INT, index_filterable=filtered, index_searchable=False)

    client.collections.create(
        name,
        description="Chunks of the documents of the GenAI Platform",
        properties=[
            text("tenant"),
            text("chunk_id"),
            text("document_id", filtered=True),
            text("document"),
            number("revision", filtered=True),
            text("text"),
            number("start", filtered=True),
            number("end"),
            number("page"),
            text("context"),
            text("attributes"),
            text("marks", kind=DataType.TEXT_ARRAY, filtered=True),
            *_of_words(),
        ],
        vector_config=Configure.Vectors.self_provided(
            name=VECTOR,
            quantizer=Configure.VectorIndex.Quantizer.none(),
            vector_index_config=Configure.VectorIndex.hnsw(distance_metric=VectorDistances.COSINE, ef_construction=128),
        ),
        multi_tenancy_config=Configure.multi_tenancy(enabled=True, auto_tenant_creation=True, auto_tenant_activation=True),
    )


def add_words(client: "WeaviateClient", name: str) -> None:
    """Add the properties of words to a collection of before there were any. May be called by several processes at once.

    Raises:
        SettingsError: the API key may not.
    """
    from weaviate.exceptions import UnexpectedStatusCodeError, WeaviateInvalidInputError

    config = client.collections.use(name).config
    for each in _of_words():
        with suppress(WeaviateInvalidInputError):  # it is there
            try:
                config.add_property(each)
            except UnexpectedStatusCodeError as error:
                if error.status_code == 403:
                    raise SettingsError(
                        f"GENAI_RETRIEVAL__WEAVIATE_API_KEY: it may not change {name}, which needs the property {each.name!r}"
                    ) from None
                config.add_property(each)  # or another process was first


def _of_words() -> "list[Property]":
    from weaviate.classes.config import DataType, Property, Tokenization

    def words(name: str) -> Property:
        return Property(
            name=name,
            data_type=DataType.TEXT,
            tokenization=Tokenization.WHITESPACE,
            index_filterable=True,
            index_searchable=True,
        )

    return [
        words(WORDS),
        words(HEADS),
        Property(name=WORDED, data_type=DataType.INT, index_filterable=True, index_searchable=False),
    ]


def object_id(chunk_id: str) -> uuid.UUID:
    """The identifier of a chunk's object, which is the same each time."""
    return uuid.uuid5(_NAMESPACE, chunk_id)


def properties_of(chunk: Chunk, shelf: Shelf, words: Callable[[str], Sequence[str]]) -> dict[str, Any]:
    """What is kept beside a chunk's vector. `words` gives a text's words as they are compared."""
    kept: dict[str, Any] = {
        "tenant": shelf.tenant,
        "chunk_id": chunk.id,
        "document_id": chunk.document_id,
        "document": chunk.document,
        "revision": chunk.revision,
        "text": chunk.text,
        "start": chunk.start,
        "end": chunk.end,
        "context": chunk.context,
        "attributes": json.dumps(dict(chunk.attributes), ensure_ascii=False, default=str),
        "marks": marks(chunk),
        WORDS: written(words(chunk.text)),
        HEADS: written(words(chunk.context)),
        WORDED: 1,
    }
    return kept if chunk.page is None else {**kept, "page": chunk.page}


def written(words: Iterable[str]) -> str:
    """Words as they are kept and asked for."""
    return " ".join(_WORD + word for word in words)


def chunk_of(kept: Any) -> Chunk:
    """The chunk that was kept so."""
    page = kept.get("page")
    return Chunk(
        id=kept["chunk_id"],
        document_id=kept["document_id"],
        document=kept["document"],
        revision=int(kept["revision"]),
        text=kept["text"],
        start=int(kept["start"]),
        end=int(kept["end"]),
        page=None if page is None else int(page),
        context=kept["context"],
        attributes=json.loads(kept["attributes"]),
    )


def said(filter: Filter | None) -> "_Filters | None":
    """The strongest that Weaviate can say of a filter. What it lets pass has to be checked against the whole of it."""
    narrowed = narrow(weakened(filter, by_marks), by_marks)
    return None if narrowed.filter is None else _said(narrowed.filter)


def _said(filter: Filter) -> "_Filters":
    from weaviate.classes.query import Filter as Asked

    match filter:
        case And():
            return _joined(Asked.all_of, [_said(part) for part in filter.parts])
        case Or():
            return _joined(Asked.any_of, [_said(part) for part in filter.parts])
        case Not(part=Compare() as compare):
            return Asked.by_property("marks").contains_none(marks_asked(compare))
        case Compare():
            return Asked.by_property("marks").contains_any(marks_asked(filter))
    raise TypeError("a filter that Weaviate cannot say")


def _joined(join: Any, parts: Sequence["_Filters"]) -> "_Filters":
    return parts[0] if len(parts) == 1 else join(list(parts))
