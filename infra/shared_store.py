"""Several servers on one database, for tests and measurements: the bundled store belongs to one process, so a package adds one
that is shared."""

import os
from pathlib import Path

_MODULE = """\
from pathlib import Path

from infra.shared_vectors import SharedVectors


class SharedStore(SharedVectors):
    path = Path({path!r})
"""


def shared_store(directory: Path) -> dict[str, str]:
    """The environment of a server with such a store, its package and its data in `directory`."""
    metadata = directory / "shared_store-1.0.dist-info"
    metadata.mkdir(parents=True)
    (directory / "shared_store.py").write_text(_MODULE.format(path=str(directory / "vectors.db")))
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shared-store\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[genai.stores]\nshared = shared_store:SharedStore\n")
    path = os.pathsep.join(filter(None, (str(directory), os.environ.get("PYTHONPATH"))))
    return {"GENAI_RETRIEVAL__STORE": "shared", "PYTHONPATH": path}
