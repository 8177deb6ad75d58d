"""Which shared libraries the installed packages ask for that neither they nor the slim image bring: on this machine they may be
there all the same, in the image a start would fail."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

#: What Debian's python:…-slim-bookworm has for sure: the C library's parts, GCC's runtime that apt needs, and zlib.
OF_THE_SLIM_IMAGE = frozenset(
    {
        *("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6"),
        *("libpthread.so.0", "libresolv.so.2", "librt.so.1", "libstdc++.so.6", "libutil.so.1", "libz.so.1"),
    }
)


def missing(root: Path) -> Iterator[tuple[str, Path]]:
    """(library, who asks for it) below a directory; empty where all are brought. Asks `readelf`.

    Raises:
        FileNotFoundError: binutils is not here.
    """
    if shutil.which("readelf") is None:
        raise FileNotFoundError("readelf, of binutils, is not here")
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink() and _is_elf(path)]
    brought = OF_THE_SLIM_IMAGE | {path.name for path in root.rglob("*.so*")}
    for path in files:
        said = subprocess.run(["readelf", "-d", str(path)], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"\(NEEDED\).*\[(.+)\]", said):
            if library not in brought:
                yield library, path.relative_to(root)


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"
