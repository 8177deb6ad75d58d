"""What a word index still holds of chunks that were deleted: tantivy marks them, and keeps their words in the segment's files
until it merges it, which may be never.

A segment whose last chunk is deleted goes with its files. So what is alive in a marked segment is deleted there and added anew,
some at a time: a search finds each chunk once all the while.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tantivy


@dataclass(frozen=True, slots=True)
class Marked:
    """A segment with marks: its place among the segments, how many live chunks are in those `before` it and in it, and how many
    are marked."""

    place: int
    before: int
    alive: int
    deleted: int


def marked(directory: Path) -> list[Marked]:
    """The segments of the index in `directory` in which deleted chunks are marked. None where there is no index."""
    try:
        segments = json.loads((directory / "meta.json").read_bytes())["segments"]
    except (FileNotFoundError, NotADirectoryError):
        return []
    found, before = [], 0
    for place, segment in enumerate(segments):
        deleted = int((segment.get("deletes") or {}).get("num_deleted_docs", 0))
        alive = int(segment["max_doc"]) - deleted
        if deleted:
            found.append(Marked(place, before, alive, deleted))
        before += alive
    return found


def alive(searcher: "tantivy.Searcher", segments: list[Marked], most: int) -> Iterator[str]:
    """The identifiers of up to `most` chunks that are alive in these segments, the smallest of them first."""
    import tantivy

    for segment in sorted(segments, key=lambda one: one.alive):
        if most <= 0:
            return
        # all have one score, so they come as they lie: segment by segment
        every = tantivy.Query.all_query()
        hits = searcher.search(every, min(most, segment.alive), count=False, offset=segment.before).hits
        for _, address in hits:
            if address.segment_ord == segment.place:
                most -= 1
                yield str(searcher.doc(address).get_first("id"))
