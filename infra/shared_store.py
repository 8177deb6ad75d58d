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
    settings = store_package(directory, "shared", "shared_store:SharedStore")
    (directory / "shared_store.py").write_text(_MODULE.format(path=str(directory / "vectors.db")))
    return settings


def store_package(directory: Path, name: str, target: str) -> dict[str, str]:
    """The environment of a server whose store is `target` (`module:Class`), which one in `directory` adds by this name."""
    metadata = directory / f"{name}_store-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-store\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[genai.stores]\n{name} = {target}\n")
    path = os.pathsep.join(filter(None, (str(directory), os.environ.get("PYTHONPATH"))))
    return {"GENAI_RETRIEVAL__STORE": name, "PYTHONPATH": path}
