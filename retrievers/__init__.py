"""Documents in, passages out: loaders, splitting, stores, lexical and hybrid search."""

from core.parts import CHROMA, QDRANT, require_part
from core.plugins import PluginTable
from core.sections import RetrievalSettings

STORES = PluginTable(
    "stores",
    {
        "chroma": "retrievers.stores.chroma:ChromaStore",
        "chroma_server": "retrievers.stores.chroma_server:ChromaServerStore",
        "pgvector": "retrievers.stores.pgvector:PgvectorStore",
        "qdrant": "retrievers.stores.qdrant:QdrantStore",
        "qdrant_server": "retrievers.stores.qdrant:QdrantServerStore",
        "weaviate": "retrievers.stores.weaviate:WeaviateStore",
        "pinecone": "retrievers.stores.pinecone:PineconeStore",
    },
)

#: Kinds of places that a collection is filled from.
SOURCES = PluginTable(
    "sources",
    {
        "folder": "retrievers.sources.folder:Folder",
        "urls": "retrievers.sources.web:URLList",
        "sitemap": "retrievers.sources.sitemap:Sitemap",
        "blobs": "retrievers.sources.blobs:Blobs",
    },
)

#: Stores whose data belong to one process, named here so that a second server is refused before anything is imported.
ONE_PROCESS = frozenset({"chroma", "qdrant"})


#: Stores of a part that an installation may be without, and the module that tells.
_PARTS = {"chroma": (CHROMA, "chromadb"), "chroma_server": (CHROMA, "chromadb"), "qdrant": (QDRANT, "qdrant_edge")}


def require_stores(retrieval: RetrievalSettings) -> None:
    """Refuse settings that name a store which is not there, or not installed. Raises SettingsError."""
    named = [(retrieval.store, "GENAI_RETRIEVAL__STORE (retrieval.store in the TOML file)")]
    other = "GENAI_RETRIEVAL__OTHER_STORES (retrieval.other_stores in the TOML file)"
    for name, setting in (*named, *((name, other) for name in retrieval.other_stores)):
        STORES.require(name, setting)
        if name in _PARTS:
            part, module = _PARTS[name]
            require_part(part, module, setting=f"{setting}: {name}", instead="Name another store, as pgvector")


#: Media type (as `retrievers.sniffing` finds it from the content) → loader.
LOADERS = PluginTable(
    "loaders",
    {
        "text/plain": "retrievers.loaders.text:load_text",
        "text/markdown": "retrievers.loaders.text:load_text",
        "text/x-source": "retrievers.loaders.text:load_text",
        "text/html": "retrievers.loaders.html:load_html",
        "text/csv": "retrievers.loaders.table:load_csv",
        "application/json": "retrievers.loaders.json:load_json",
        "application/pdf": "retrievers.loaders.pdf:load_pdf",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "retrievers.loaders.docx:load_docx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation": "retrievers.loaders.pptx:load_pptx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "retrievers.loaders.xlsx:load_xlsx",
        "application/epub+zip": "retrievers.loaders.epub:load_epub",
        "message/rfc822": "retrievers.loaders.mail:load_mail",
        "application/zip": "retrievers.loaders.parts:load_archive",
        "application/x-tar": "retrievers.loaders.parts:load_archive",
        "application/gzip": "retrievers.loaders.parts:load_archive",
        "application/x-bzip2": "retrievers.loaders.parts:load_archive",
        "application/x-xz": "retrievers.loaders.parts:load_archive",
        "image/png": "retrievers.loaders.image:load_image",
        "image/jpeg": "retrievers.loaders.image:load_image",
        "image/webp": "retrievers.loaders.image:load_image",
        "image/gif": "retrievers.loaders.image:load_image",
    },
)
