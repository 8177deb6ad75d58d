"""Several servers on one database, for tests and measurements of what has nothing to do with documents: the bundled store
belongs to one process, so a package adds one that claims to be shared."""

import os
from pathlib import Path

_MODULE = """\
from retrievers.stores.chroma import ChromaStore


class SharedStore(ChromaStore):
    shareable = True
"""


def shared_store(directory: Path) -> dict[str, str]:
    """The environment of a server with such a store, its package in `directory`. Each server has documents of its own."""
    metadata = directory / "shared_store-1.0.dist-info"
    metadata.mkdir(parents=True)
    (directory / "shared_store.py").write_text(_MODULE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shared-store\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[genai.stores]\nshared = shared_store:SharedStore\n")
    path = os.pathsep.join(filter(None, (str(directory), os.environ.get("PYTHONPATH"))))
    return {"GENAI_RETRIEVAL__STORE": "shared", "PYTHONPATH": path}
