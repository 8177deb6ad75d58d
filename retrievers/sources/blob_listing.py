"""What lies in a bucket, a part at a time: a bucket may hold more than fits into memory, and more than a crawl takes."""

from collections.abc import AsyncIterator, Generator
from typing import Any

Facts = dict[str, Any]

#: Keys that one trip to the thread of the client's event loop brings.
_AT_ONCE = 1000


def listed(system: Any, root: str) -> Generator[tuple[str, Facts]]:
    """The path of every file below `root` with what its file system tells of it. S3 gives its keys in their order, page by
    page; of others a folder is held at a time. Close it to ask for no more."""
    # not a part of fsspec's interface, which knows no listing by pages
    if (keys := getattr(system, "_iterdir", None)) is not None:
        bucket, _, prefix = root.partition("/")
        yield from _by_pages(system, keys(bucket, delimiter="", prefix=f"{prefix}/" if prefix else ""))
        return
    for _, folders, files in system.walk(root, detail=True, on_error="raise"):
        for hidden in [name for name in folders if name.startswith(".")]:
            del folders[hidden]
        for facts in files.values():
            yield facts["name"], facts


def _by_pages(system: Any, keys: Any) -> Generator[tuple[str, Facts]]:
    from fsspec.asyn import sync  # type: ignore[import-untyped]  # it ships no types

    try:
        while page := sync(system.loop, _next, keys):
            yield from ((facts["name"], facts) for facts in page if facts.get("type") != "directory")
    finally:
        sync(system.loop, keys.aclose)


async def _next(keys: AsyncIterator[Facts]) -> list[Facts]:
    page: list[Facts] = []
    async for facts in keys:
        page.append(facts)
        if len(page) == _AT_ONCE:
            break
    return page
