"""A site as a source: the pages that its sitemap lists (sitemaps.org, protocol 0.9), as far as robots.txt lets them be read.

Pages of other hosts are left out, as the protocol has it; so a sitemap leads no crawl elsewhere.
"""

from collections import deque
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from core.child import ChildError, run_in_child
from core.errors import InvalidRequest, PlatformError, UnreadableFile
from core.settings import Settings
from retrievers.fetching import fetch_changed
from retrievers.sources.base import Content, Entry, Listing, Place
from retrievers.sources.robots import Robots
from retrievers.sources.web import checked_url, name_of, pause, read_page


class Sitemap:
    """`location` is `{"url": the address of a sitemap, of a list of sitemaps, or of a site whose robots.txt names them}`."""

    at_once = 1

    def __init__(self, url: str, settings: Settings) -> None:
        self._url, self._settings = url, settings
        self._robots = Robots(settings)
        self._read_one = False

    @staticmethod
    def check(place: Place, settings: Settings) -> dict[str, Any]:
        if set(place.location) != {"url"}:
            raise InvalidRequest("A sitemap is one address.", code="invalid_source", param="location")
        return {"url": checked_url(place.location["url"])}

    @staticmethod
    def open(place: Place, settings: Settings) -> "Sitemap":
        return Sitemap(Sitemap.check(place, settings)["url"], settings)

    async def look(self) -> Listing:
        most, begun = self._settings.sources.sitemaps, list(dict.fromkeys(await self._begin()))
        todo, seen = deque(begun[:most]), set[str]()
        entries: dict[str, Entry] = {}
        problems: list[tuple[str, str, str]] = []
        complete, left_out = True, 0
        cut = len(begun) > most
        while todo:  # never more than may be read
            url = todo.popleft()
            seen.add(url)
            try:
                below, pages = await self._sitemap(url)
            except PlatformError as error:
                if len(seen) == 1 and not todo:
                    raise
                problems.append((name_of(url), error.code, error.message))
                complete = False
                continue
            known = seen.union(todo)
            more = dict.fromkeys(each for each in below if each not in known and self._is_here(each))
            left = most - len(known)
            cut = cut or len(more) > left
            todo.extend(islice(more, left))
            here = [(page, changed) for page, changed in pages if self._is_here(page)]
            left_out += len(pages) - len(here)
            for page, changed in here:
                if len(entries) == self._settings.sources.files and name_of(page) not in entries:
                    text = f"There are more than {len(entries):,} pages; the others are left out (GENAI_SOURCES__FILES)."
                    problems.append(("", "too_many_files", text))
                    return Listing(list(entries.values()), complete=False, problems=problems, left_out=left_out)
                entries.setdefault(name_of(page), Entry(name_of(page), mark=changed, url=page))
        if cut:
            text = f"More than {most:,} sitemaps are listed; the others are left out (GENAI_SOURCES__SITEMAPS)."
            problems.append(("", "too_many_files", text))
        return Listing(list(entries.values()), complete=complete and not cut, problems=problems, left_out=left_out)

    async def read(self, entry: Entry, known: str, scratch: Path) -> Content | None:
        if self._read_one:
            await pause(await self._robots.delay_s(entry.url))
        self._read_one = True
        return await read_page(entry, known, scratch, settings=self._settings, admit=self._robots.admit)

    async def close(self) -> None:
        """Each page has a client of its own."""

    async def _begin(self) -> list[str]:
        """The sitemaps to begin with. The address of a site stands for those that its robots.txt names, or the usual one."""
        if urlsplit(self._url).path not in ("", "/"):
            return [self._url]
        named = [each for each in await self._robots.sitemaps(self._url) if self._is_here(each)]
        return named or [urljoin(self._url, "/sitemap.xml")]

    async def _sitemap(self, url: str) -> tuple[list[str], list[tuple[str, str]]]:
        """The sitemaps that it lists, and its pages with the times of their last change."""
        fetched = await fetch_changed(url, settings=self._settings, admit=self._robots.admit)
        content = b"" if fetched is None else fetched.content
        jobs = self._settings.jobs
        try:
            below, pages = await run_in_child(
                "retrievers.sources.sitemap_files:parse",
                content,
                timeout_s=jobs.parse_timeout_s,
                memory_bytes=jobs.parse_memory_bytes,
                lane="bulk",
            )
        except ChildError as error:
            raise UnreadableFile(
                "The sitemap is none, or damaged.", code="invalid_sitemap", context={"error": str(error)[:300]}
            ) from error
        return [_joined(url, each) for each in below], [(_joined(url, page), changed) for page, changed in pages]

    def _is_here(self, url: str) -> bool:
        try:
            return urlsplit(checked_url(url)).netloc == urlsplit(self._url).netloc
        except InvalidRequest:
            return False


def _joined(base: str, url: str) -> str:
    """The address that a sitemap at `base` means; what is none stays as it is."""
    try:
        return urljoin(base, url)
    except ValueError:
        return url
