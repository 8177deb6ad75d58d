"""Sitemaps as files (sitemaps.org, protocol 0.9), read in a child process: imports little."""

import gzip
import io
from typing import Any

#: Of one sitemap unpacked, and of the addresses in it (sitemaps.org).
_MOST_BYTES = 50 * 2**20
_MOST_LISTED = 50_000
_NAMESPACES = ("{http://www.sitemaps.org/schemas/sitemap/0.9}", "{https://www.sitemaps.org/schemas/sitemap/0.9}", "")


def parse(content: bytes) -> tuple[list[str], list[tuple[str, str]]]:
    """A sitemap, packed or not, as XML or as lines of text: (sitemaps that it lists, (page, last change) …). For a child.

    Raises:
        ValueError, OSError: it is none.
    """
    from defusedxml.ElementTree import fromstring

    if content[:2] == b"\x1f\x8b":
        with gzip.open(io.BytesIO(content)) as unpacked:
            content = unpacked.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError("larger than a sitemap may be")
    if not content.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines()]
        if not all(line.startswith(("http://", "https://")) for line in lines if line):
            raise ValueError("no list of addresses")
        return [], [(line, "") for line in lines if line][:_MOST_LISTED]
    root = fromstring(content)
    if root.tag.rpartition("}")[2] not in ("urlset", "sitemapindex"):
        raise ValueError("no sitemap")
    found = [(_text(each, "loc"), _text(each, "lastmod")) for each in list(root)[:_MOST_LISTED]]
    listed = [(place, changed) for place, changed in found if place]
    if root.tag.endswith("sitemapindex"):
        return [place for place, _ in listed], []
    return [], listed


def _text(element: Any, name: str) -> str:
    for namespace in _NAMESPACES:
        if (below := element.find(f"{namespace}{name}")) is not None:
            return (below.text or "").strip()
    return ""
