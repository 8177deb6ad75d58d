"""Buckets, through fsspec's memory: what is listed, read and told to be the same; what opens them."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pytest
from fsspec.asyn import get_loop  # type: ignore[import-untyped]

from core.errors import InvalidRequest, NotFound, TooLarge
from core.settings import RequestLimits, Settings
from core.source_settings import SourceSettings
from retrievers.sources import blobs
from retrievers.sources.base import Content, Entry, Place
from retrievers.sources.blobs import SCHEMES, Blobs, Scheme
from retrievers.sources.secrets import checked

ENDPOINT = "https://minio.example.com"
PAIR = {"access_key_id": "KEY-OF-THE-TESTS-123", "secret_access_key": "s" * 40}


@pytest.fixture
def configured(tmp_path: Path) -> Settings:
    sources = SourceSettings(endpoints=(f"{ENDPOINT}/",), files=4)
    return Settings.load(data_dir=tmp_path, sources=sources, limits=RequestLimits(upload_bytes=1000))


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A file system in which `memory://bucket/…` lies."""
    monkeypatch.setitem(SCHEMES, "memory", Scheme("fsspec", frozenset(), lambda _location, _secrets: {}))
    system = fsspec.filesystem("memory")
    system.pipe(
        {"/bucket/in/a.md": b"Puffins", "/bucket/in/sub/b.md": b"Seals", "/bucket/in/.hidden": b"", "/bucket/x.md": b""}
    )
    yield system
    system.rm("/bucket", recursive=True)


async def test_objects_below_the_prefix_are_listed_and_read(memory: Any, configured: Settings, tmp_path: Path) -> None:
    bucket = Blobs.open(Place("default", {"url": "memory://bucket/in"}), configured)
    listing = await bucket.look()
    assert [(entry.name, entry.size) for entry in listing.entries] == [("a.md", 7), ("sub/b.md", 5)]
    content = await bucket.read(listing.entries[0], "", tmp_path)
    assert isinstance(content, Content)
    assert content.data.read_bytes() == b"Puffins"
    with pytest.raises(NotFound):
        await bucket.read(Entry("gone.md"), "", tmp_path)
    memory.pipe("/bucket/in/large.bin", bytes(2000))
    with pytest.raises(TooLarge):
        await bucket.read((await bucket.look()).entries[1], "", tmp_path)
    memory.pipe({f"/bucket/in/{number}.md": b"x" for number in range(5)})
    cut = await bucket.look()
    assert (len(cut.entries), cut.complete) == (4, False)


class Keys:
    """A file system that finds these keys, a page after the other, as that of S3 does."""

    def __init__(self, *keys: str) -> None:
        self.loop = get_loop()
        self._keys, self.given, self.closed = keys, 0, False

    async def _iterdir(self, bucket: str, *, delimiter: str, prefix: str) -> AsyncIterator[dict[str, Any]]:
        assert not delimiter
        try:
            for key in self._keys:
                if key.startswith(f"{bucket}/{prefix}"):
                    self.given += 1
                    yield {"name": key, "size": 1, "type": "file"}
        finally:
            self.closed = True


async def test_keys_that_would_have_the_name_of_another_are_left_out(configured: Settings) -> None:
    keys = Keys("bucket/in/a.md", "bucket/in//a.md", "bucket/in/a.md/", "bucket/in/p/a", "bucket/in/p//a", "bucket/in/../b")
    listing = await Blobs(keys, "bucket/in", configured).look()
    assert [entry.name for entry in listing.entries] == ["a.md", "p/a"]


async def test_no_more_is_listed_of_a_bucket_than_a_crawl_takes(configured: Settings) -> None:
    keys = Keys(*(f"bucket/{number:05}.md" for number in range(5000)))
    listing = await Blobs(keys, "bucket", configured).look()
    assert [entry.name for entry in listing.entries] == [f"{number:05}.md" for number in range(4)]
    assert not listing.complete
    assert keys.given <= 1000
    assert keys.closed


async def test_folders_behind_those_that_a_crawl_takes_are_not_looked_into(memory: Any, configured: Settings) -> None:
    memory.pipe({f"/bucket/wide/{folder:03}/{number}.md": b"x" for folder in range(20) for number in range(3)})
    looked, ls = [], memory.ls

    def counted(path: str, *args: Any, **options: Any) -> Any:
        looked.append(path)
        return ls(path, *args, **options)

    memory.ls = counted
    try:
        listing = await Blobs(memory, "/bucket/wide", configured).look()
    finally:
        del memory.ls
    assert (len(listing.entries), listing.complete) == (4, False)
    assert len(looked) == 3


def test_a_mark_changes_with_the_content_s_tag_or_time() -> None:
    marks = [
        blobs.mark_of({"size": 1, "ETag": '"a"', "LastModified": "x"}),
        blobs.mark_of({"size": 1, "ETag": '"b"'}),
        blobs.mark_of({"size": 2, "ETag": '"b"'}),
        blobs.mark_of({"size": 2, "mtime": 1.5}),
    ]
    assert marks == ["a-1", "b-1", "b-2", "1.5-2"]
    assert blobs.mark_of({"size": 2}) == ""


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ({"url": "ftp://bucket"}, "invalid_source"),
        ({"url": "file:///etc"}, "invalid_source"),
        ({"url": "s3://"}, "invalid_source"),
        ({"url": "s3://bucket/../other"}, "invalid_source"),
        ({"url": "s3://user@bucket/x"}, "invalid_source"),
        ({"url": "s3://bucket", "region": "x.evil.example/"}, "invalid_source"),
        ({"url": "s3://bucket", "account": "x"}, "invalid_source"),
        ({"url": "az://container", "account": "evil.example"}, "invalid_source"),
        ({"url": "az://container"}, "invalid_source"),
        ({"url": "s3://bucket", "endpoint": "http://169.254.169.254"}, "source_not_allowed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_what_leads_elsewhere_is_refused(
    configured: Settings, monkeypatch: pytest.MonkeyPatch, location: dict[str, Any], code: str
) -> None:
    monkeypatch.setattr(blobs, "find_spec", lambda _package: True)
    with pytest.raises(InvalidRequest) as refused:
        Blobs.check(Place("default", location), configured)
    assert refused.value.code == code


def test_a_service_beside_aws_is_one_that_the_settings_name(configured: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "find_spec", lambda _package: True)
    location = {"url": "s3://bucket/x", "endpoint": f"{ENDPOINT}/"}
    assert Blobs.check(Place("default", location), configured)["endpoint"] == ENDPOINT


def test_a_cloud_whose_package_is_missing_is_told(configured: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "find_spec", lambda _package: None)
    with pytest.raises(InvalidRequest, match="the package gcsfs") as refused:
        Blobs.check(Place("default", {"url": "gs://bucket"}), configured)
    assert refused.value.code == "source_not_allowed"


def test_a_bucket_is_opened_with_what_the_source_gives_or_with_nothing() -> None:
    location = {"url": "s3://b", "endpoint": ENDPOINT, "region": "eu-west-1", "account": "acme"}
    s3 = SCHEMES["s3"].options(location, PAIR)
    assert (s3["key"], s3["secret"], s3["anon"]) == (*PAIR.values(), False)
    assert (s3["endpoint_url"], s3["client_kwargs"]) == (ENDPOINT, {"region_name": "eu-west-1"})
    assert SCHEMES["s3"].options({}, {})["anon"] is True
    assert SCHEMES["gs"].options({}, {}) == {"token": "anon"}
    assert SCHEMES["gs"].options({}, {"service_account": '{"a": 1}'}) == {"token": {"a": 1}}
    assert SCHEMES["az"].options(location, {}) == {"account_name": "acme", "anon": True}
    assert SCHEMES["az"].options(location, {"sas_token": "t"}) == {"account_name": "acme", "anon": False, "sas_token": "t"}


def test_a_client_that_found_credentials_in_the_environment_is_refused(
    configured: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Found:
        account_key = "the server's"

    monkeypatch.setitem(SCHEMES, "memory", Scheme("fsspec", frozenset(), lambda _location, _secrets: {}))
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda *_args, **_options: (Found(), "bucket"))
    with pytest.raises(InvalidRequest) as refused:
        Blobs.open(Place("default", {"url": "memory://bucket"}), configured)
    assert refused.value.code == "source_not_allowed"


def test_a_credential_fits_its_kind_of_place() -> None:
    key_file = {"type": "service_account", "private_key": "k", "client_email": "e", "token_uri": "http://10.0.0.1/"}
    kept = checked("blobs", {"url": "gs://b"}, {"service_account": json.dumps(key_file)})
    assert json.loads(kept["service_account"])["token_uri"] == "https://oauth2.googleapis.com/token"
    assert checked("blobs", {"url": "s3://b"}, PAIR) == PAIR
    assert checked("blobs", {"url": "az://b"}, {"sas_token": "t"}) == {"sas_token": "t"}
    wrong: list[tuple[str, str, dict[str, str]]] = [
        ("blobs", "s3://b", {"api_key": "x"}),
        ("blobs", "s3://b", {"sas_token": "x"}),
        ("blobs", "az://b", {"account_key": "x", "sas_token": "y"}),
        ("blobs", "gs://b", {"service_account": '{"type": "external_account"}'}),
        ("sitemap", "https://b", {"sas_token": "x"}),
    ]
    for kind, url, secrets in wrong:
        with pytest.raises(InvalidRequest) as refused:
            checked(kind, {"url": url}, secrets)
        assert refused.value.code == "invalid_credential", (kind, url)
