"""The settings of sources: what of this machine and its network collections may be filled from."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from core.sections import Section


class SourceFolder(Section):
    """A directory of the server that documents may come from. A text is the path alone."""

    path: Path
    tenants: tuple[str, ...] = Field((), description="whose sources may lie in it; empty: every tenant's")

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @field_validator("path")
    @classmethod
    def _is_absolute(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise ValueError("it must be an absolute path")
        return value


class SourceSettings(Section):
    """Sources of collections, and what one crawl may find at most."""

    folders: tuple[SourceFolder, ...] = Field(
        (),
        description='directories that sources may lie in, as JSON: ["/srv/docs", {"path": "/srv/a", "tenants": ["a"]}]',
    )
    endpoints: tuple[str, ...] = Field(
        (), description='S3 services beside AWS that sources may name, as JSON: ["https://minio.example.com"]'
    )
    files: int = Field(
        10_000, ge=1, le=1_000_000, description="files of one source; what is found beyond is left out, and told"
    )
    sitemaps: int = Field(50, ge=1, description="sitemaps that one crawl reads, where one lists others")

    @field_validator("endpoints")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if urlsplit(each).scheme not in ("http", "https") or not urlsplit(each).hostname:
                raise ValueError("each begins with https:// or http://")
        return tuple(each.rstrip("/") for each in value)
