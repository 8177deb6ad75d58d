"""Buckets of S3, Google Cloud Storage and Azure Blob Storage as sources, by fsspec.

A bucket is opened with the source's own credentials or with none. What the server itself may open, by its environment or its
machine's role, is never used: a source is its tenant's.
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import structlog

from core.errors import InvalidRequest, NotFound, PlatformError, TooLarge, Unavailable
from core.settings import Settings
from retrievers.sources.base import Content, Entry, Listing, Place
from retrievers.sources.blob_listing import listed

log = structlog.get_logger()

_Result = TypeVar("_Result")
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
#: What of a file's facts tells that it is still the same, the best first.
_MARKS = ("ETag", "etag", "md5Hash", "generation", "content_settings", "LastModified", "last_modified", "updated", "mtime")


class Blobs:
    """`location` is `{"url": "s3://bucket/prefix"}`, `gs://…` or `az://container/prefix`; of S3 with `region`, and `endpoint`
    where it is not AWS; of Azure with the storage `account`."""

    at_once = 4

    def __init__(self, system: Any, root: str, settings: Settings) -> None:
        self._system, self._root, self._settings = system, root.rstrip("/"), settings

    @staticmethod
    def check(place: Place, settings: Settings) -> dict[str, Any]:
        location = dict(place.location)
        url, scheme = str(location.get("url", "")), str(location.get("url", "")).partition("://")[0]
        if scheme not in SCHEMES or not _is_bucket(url) or not all(isinstance(value, str) for value in location.values()):
            raise _invalid("A bucket is s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX.")
        known = SCHEMES[scheme]
        if set(location) - {"url"} - known.fields:
            also = " and ".join(sorted(known.fields)) or "nothing else"
            raise _invalid(f"A bucket of {scheme}:// is found by its url and {also}.")
        if not _REGION.fullmatch(location.get("region", "us-east-1")):
            raise _invalid("That is no region.")
        if scheme == "az" and not _ACCOUNT.fullmatch(location.get("account", "")):
            raise _invalid("A container of Azure needs the name of its storage account.")
        if find_spec(known.package) is None:
            raise _not_allowed(
                f"{scheme}:// needs the package {known.package}, which the operator installs beside the platform."
            )
        if "endpoint" in location:
            location["endpoint"] = location["endpoint"].rstrip("/")
            if location["endpoint"] not in settings.sources.endpoints:
                raise _not_allowed("That service may not be read: GENAI_SOURCES__ENDPOINTS names those that may.")
        return location

    @staticmethod
    def open(place: Place, settings: Settings) -> "Blobs":
        location = Blobs.check(place, settings)
        scheme = location["url"].partition("://")[0]
        import fsspec  # type: ignore[import-untyped]  # it ships no types

        options = SCHEMES[scheme].options(location, place.secrets)
        uncached = {"skip_instance_cache": True, "use_listings_cache": False}
        system, root = fsspec.core.url_to_fs(location["url"], **uncached, **options)
        _check_own(system, place.secrets)
        return Blobs(system, root, settings)

    async def look(self) -> Listing:
        try:
            return await self._run(self._list)
        except NotFound as error:
            raise Unavailable("There is no such bucket.", code="source_unreachable") from error

    async def read(self, entry: Entry, known: str, scratch: Path) -> Content | None:
        limit = self._settings.limits.upload_bytes
        if (entry.size or 0) > limit:
            raise TooLarge(f"The document is larger than {limit:,} bytes.", code="file_too_large")
        target = scratch / uuid4().hex
        await self._run(lambda: self._system.get_file(f"{self._root}/{entry.name}", str(target)))
        if await asyncio.to_thread(lambda: target.stat().st_size) > limit:
            raise TooLarge(f"The document is larger than {limit:,} bytes.", code="file_too_large")
        return Content(target, entry.mark)

    async def close(self) -> None:
        """Clients end with their file system, which nothing else holds."""

    def _list(self) -> Listing:
        entries: list[Entry] = []
        most = self._settings.sources.files
        with closing(listed(self._system, self._root)) as found:
            for path, facts in found:
                name = path.removeprefix(self._root).removeprefix("/")
                # of a key with nothing between two slashes, no document can be named apart from another's
                if not name.isprintable() or any(not part or part.startswith(".") for part in name.split("/")):
                    continue
                if len(entries) == most:
                    text = f"There are more than {most:,} files; the others are left out (GENAI_SOURCES__FILES)."
                    return Listing(_in_order(entries), complete=False, problems=[("", "too_many_files", text)])
                entries.append(Entry(name, mark=mark_of(facts), size=facts.get("size")))
        return Listing(_in_order(entries))

    @staticmethod
    async def _run(work: Callable[[], _Result]) -> _Result:
        try:
            return await asyncio.to_thread(work)
        except FileNotFoundError as error:
            raise NotFound("There is nothing there.", code="file_not_found") from error
        except PermissionError as error:
            raise InvalidRequest("The bucket may not be read with these credentials.", code="source_denied") from error
        except PlatformError:
            raise
        except Exception as error:  # whatever the cloud's SDK raises: none of it is for callers
            log.warning("source.unreachable", error=type(error).__name__)
            raise Unavailable("The bucket does not answer.", code="source_unreachable") from error


def _in_order(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.name)


def _of_s3(location: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {"client_kwargs": {"region_name": location.get("region", "us-east-1")}}
    if "endpoint" in location:
        options["endpoint_url"] = location["endpoint"]
    named = {"access_key_id": "key", "secret_access_key": "secret", "session_token": "token"}
    return {**options, "anon": not secrets, **{named[name]: value for name, value in secrets.items()}}


def _of_google(_: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    return {"token": json.loads(secrets["service_account"]) if secrets else "anon"}


def _of_azure(location: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    return {"account_name": location["account"], "anon": not secrets, **secrets}


@dataclass(frozen=True, slots=True)
class Scheme:
    """How buckets of one kind are opened: by which package, what else than `url` their location may say, and with what fsspec
    opens them: the credentials that were given, or none at all."""

    package: str
    fields: frozenset[str]
    options: Callable[[Mapping[str, Any], Mapping[str, str]], dict[str, Any]]


SCHEMES = {
    "s3": Scheme("s3fs", frozenset({"endpoint", "region"}), _of_s3),
    "gs": Scheme("gcsfs", frozenset(), _of_google),
    "az": Scheme("adlfs", frozenset({"account"}), _of_azure),
}


def _check_own(system: Any, secrets: Mapping[str, str]) -> None:
    """Refuse a client that has found credentials of its own in the server's environment, as that of Azure does.

    Raises:
        InvalidRequest: `source_not_allowed`.
    """
    for name in ("connection_string", "account_key", "sas_token", "client_id", "client_secret"):
        found = getattr(system, name, None)
        if found is not None and found != secrets.get(name):
            raise _not_allowed("The server has credentials of its own for this kind of bucket, which no source may use.")


def mark_of(facts: Mapping[str, Any]) -> str:
    """What tells that a file is still the same; empty where nothing does."""
    for name in _MARKS:
        value = facts.get(name)
        if value and isinstance(value, str | int | float):
            return f"{str(value).strip(chr(34))}-{facts.get('size')}"[:300]
        if isinstance(value, datetime):
            return f"{value.isoformat()}-{facts.get('size')}"
    return ""


def _is_bucket(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    plain = url.isprintable() and len(url) <= 1000 and not parts.query and not parts.fragment and "@" not in parts.netloc
    return plain and bool(parts.netloc) and ".." not in parts.path.split("/")


def _not_allowed(text: str) -> InvalidRequest:
    return InvalidRequest(text, code="source_not_allowed", param="location")


def _invalid(text: str) -> InvalidRequest:
    return InvalidRequest(text, code="invalid_source", param="location")
