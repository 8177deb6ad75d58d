"""robots.txt of the hosts that a crawl comes to (RFC 9309): asked once a host and crawl, and obeyed."""

import asyncio
from urllib.parse import urlsplit

from protego import Protego

from core.errors import InvalidRequest, NotFound, PlatformError, Unavailable
from core.settings import Settings
from retrievers.fetching import USER_AGENT, fetch_changed

#: A crawler may stop reading after 500 KiB (RFC 9309, 2.5).
_READ_BYTES = 500 * 1024
#: Seconds between two pages that a host may ask for; one that asks for more gets this.
_LONGEST_DELAY_S = 10.0


class Robots:
    """Of one crawl."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules: dict[str, Protego] = {}
        self._asking = asyncio.Lock()

    async def admit(self, url: str) -> None:
        """Come back where the page may be read.

        Raises:
            InvalidRequest: `robots_disallowed`.
            Unavailable: `robots_unreachable`: nobody can tell what the host allows, so nothing is (RFC 9309, 2.3.1.4).
        """
        if not (await self._of(url)).can_fetch(url, USER_AGENT):
            raise InvalidRequest("The site's robots.txt does not let it be read.", code="robots_disallowed", param="url")

    async def delay_s(self, url: str) -> float:
        """Seconds that the host wants between two pages. Raises Unavailable as `admit`."""
        wanted = (await self._of(url)).crawl_delay(USER_AGENT)
        return min(float(wanted or 0), _LONGEST_DELAY_S)

    async def sitemaps(self, url: str) -> list[str]:
        """The sitemaps that the host's robots.txt names. Raises Unavailable as `admit`."""
        return list((await self._of(url)).sitemaps)

    async def _of(self, url: str) -> Protego:
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        async with self._asking:
            if host not in self._rules:
                self._rules[host] = await self._read(host)
            return self._rules[host]

    async def _read(self, host: str) -> Protego:
        try:
            fetched = await fetch_changed(f"{host}/robots.txt", settings=self._settings)
        except NotFound:
            return Protego.parse("")
        except PlatformError as error:
            if error.context.get("status") in range(400, 500):  # it has none for us: all is allowed (RFC 9309, 2.3.1.3)
                return Protego.parse("")
            if error.code == "url_refused":
                raise
            raise Unavailable("The site's robots.txt cannot be read.", code="robots_unreachable") from error
        text = fetched.content[:_READ_BYTES].decode("utf-8", "replace") if fetched is not None else ""
        return await asyncio.to_thread(Protego.parse, text)
