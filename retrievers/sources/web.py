"""Pages of the web as a source: a list of addresses, each read where it is not what it was."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from core.errors import InvalidRequest
from core.settings import Settings
from retrievers.fetching import Admit, Validators, fetch_changed
from retrievers.sources.base import Content, Entry, Listing, Place

MOST_URLS = 1000
LONGEST_URL = 1000


class URLList:
    """`location` is `{"urls": [addresses]}`. Each was named by somebody: robots.txt is for what is found by itself."""

    at_once = 2

    def __init__(self, urls: Sequence[str], settings: Settings) -> None:
        self._urls, self._settings = urls, settings

    @staticmethod
    def check(place: Place, settings: Settings) -> dict[str, Any]:
        urls = place.location.get("urls")
        if set(place.location) != {"urls"} or not isinstance(urls, list) or not 0 < len(urls) <= MOST_URLS:
            raise InvalidRequest(f"Give 1 to {MOST_URLS:,} addresses.", code="invalid_source", param="location")
        return {"urls": list(dict.fromkeys(checked_url(url) for url in urls))}

    @staticmethod
    def open(place: Place, settings: Settings) -> "URLList":
        return URLList(URLList.check(place, settings)["urls"], settings)

    async def look(self) -> Listing:
        return Listing([Entry(name_of(url), url=url) for url in self._urls])

    async def read(self, entry: Entry, known: str, scratch: Path) -> Content | None:
        return await read_page(entry, known, scratch, settings=self._settings)

    async def close(self) -> None:
        """Each page has a client of its own."""


async def read_page(
    entry: Entry, known: str, scratch: Path, *, settings: Settings, admit: Admit | None = None
) -> Content | None:
    """The page of an entry, in a file below `scratch`; None where the server says that it is what it was, or a sitemap's time
    says so.

    Raises as `retrievers.fetching.fetch_changed`.
    """
    before, validators = _unpacked(known)
    if entry.mark and entry.mark == before:
        return None
    fetched = await fetch_changed(entry.url, settings=settings, known=validators, admit=admit)
    if fetched is None:
        return None
    target = scratch / uuid4().hex
    await asyncio.to_thread(target.write_bytes, fetched.content)
    return Content(target, packed(entry.mark, fetched.validators))


def packed(lastmod: str, validators: Validators) -> str:
    """A page's mark: what a sitemap said of it, and what its server gave to ask with."""
    if not (lastmod or validators.etag or validators.modified):
        return ""
    return json.dumps([lastmod[:40], validators.etag, validators.modified], ensure_ascii=True, separators=(",", ":"))


def _unpacked(mark: str) -> tuple[str, Validators]:
    try:
        lastmod, etag, modified = json.loads(mark)
    except ValueError:
        return "", Validators()
    return lastmod, Validators(etag, modified)


def checked_url(url: object) -> str:
    """An address as it may be asked for, without its fragment.

    Raises:
        InvalidRequest: `invalid_url`.
    """
    try:
        parts = urlsplit(url.strip() if isinstance(url, str) else "")
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        known = False
    if not known or not isinstance(url, str) or len(url) > LONGEST_URL or not url.strip().isprintable():
        raise InvalidRequest(
            f"An address begins with http:// or https://, has no user name in it, and at most {LONGEST_URL:,} characters.",
            code="invalid_url",
            param="location",
        )
    return parts._replace(fragment="").geturl()


def name_of(url: str) -> str:
    """What a page is called in its source: its address without the scheme."""
    return url.partition("://")[2].strip("/") or url


async def pause(seconds: float) -> None:
    """Wait as long as a host asks for."""
    if seconds > 0:
        await asyncio.sleep(seconds)
