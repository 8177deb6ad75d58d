"""Keys: made at random, hashed under the installation's secret."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core.keys import Hasher, key_hint, load_secret, new_key
from core.settings import Settings


def test_keys_differ_and_their_hints_do_not_give_them_away() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(len(key) > 40 and len(key_hint(key)) <= 8 for key in keys)
    assert key_hint("short-key") == "…"


def test_a_digest_depends_on_secret_purpose_and_value() -> None:
    digests = {
        Hasher(b"a").digest("key", "x"),
        Hasher(b"b").digest("key", "x"),
        Hasher(b"a").digest("session", "x"),
        Hasher(b"a").digest("key", "y"),
    }
    assert len(digests) == 4
    assert Hasher(b"a").digest("key", "x") == Hasher(b"a").digest("key", "x")


def test_the_secret_is_made_once_and_only_its_owner_may_read_it(settings: Settings) -> None:
    with ThreadPoolExecutor(4) as pool:
        secrets = set(pool.map(lambda _: load_secret(settings), range(8)))
    assert len(secrets) == 1
    assert settings.path("secret.key").stat().st_mode & 0o077 == 0


def test_a_configured_secret_needs_no_file(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path / "data", secret_key="s" * 32)
    assert load_secret(settings) == b"s" * 32
    assert not settings.path("secret.key").exists()
