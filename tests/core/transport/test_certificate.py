"""The certificate that the platform is served by: what is taken, and which setting is named for what is not."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.settings import Settings, SettingsError, TLSSettings
from core.transport.certificate import on_disk, read_certificate
from tests.authority import Authority, Issued

CERTIFICATE, KEY, PASSWORD = "GENAI_TLS__CERTIFICATE_FILE", "GENAI_TLS__KEY_FILE", "GENAI_TLS__KEY_PASSWORD"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def _now() -> datetime:
    return datetime.now(UTC)


def _settings(issued: Issued, **more: object) -> TLSSettings:
    return TLSSettings.model_validate({"certificate_file": issued.certificate_file, "key_file": issued.key_file} | more)


def test_a_good_certificate_is_read_with_its_key_in_a_file_or_in_the_setting_encrypted_or_not(authority: Authority) -> None:
    issued = authority.issue("server")
    found = read_certificate(_settings(issued), _now())
    assert (int(found.serial, 16), found.context.minimum_version) == (issued.serial, ssl.TLSVersion.TLSv1_2)
    key = issued.key_file.read_text()
    given = TLSSettings.model_validate({"certificate_file": issued.certificate_file, "key": key, "minimum_version": "1.3"})
    assert read_certificate(given, _now()).context.minimum_version is ssl.TLSVersion.TLSv1_3
    referred = Settings.load(tls={"certificate_file": issued.certificate_file, "key": f"file:{issued.key_file}"}).tls
    assert int(read_certificate(referred, _now()).serial, 16) == issued.serial
    locked = authority.issue("locked", password=b"open sesame")
    assert int(read_certificate(_settings(locked, key_password="open sesame"), _now()).serial, 16) == locked.serial


def _missing(authority: Authority, good: Issued) -> TLSSettings:
    return _settings(good, certificate_file=authority.directory / "none.crt")


def _missing_key(authority: Authority, good: Issued) -> TLSSettings:
    return _settings(good, key_file=authority.directory / "none.key")


def _others_key(authority: Authority, good: Issued) -> TLSSettings:
    return _settings(good, key_file=authority.issue("other").key_file)


def _no_certificate(authority: Authority, good: Issued) -> TLSSettings:
    return _settings(good, certificate_file=good.key_file)


def _no_key(authority: Authority, good: Issued) -> TLSSettings:
    return _settings(good, key_file=good.certificate_file)


def _expired(authority: Authority, good: Issued) -> TLSSettings:
    return _settings(authority.issue("old", days=(-9, -1)))


def _not_yet(authority: Authority, good: Issued) -> TLSSettings:
    return _settings(authority.issue("early", days=(1, 9)))


def _no_password(authority: Authority, good: Issued) -> TLSSettings:
    return _settings(authority.issue("locked", password=b"open sesame"))


def _wrong_password(authority: Authority, good: Issued) -> TLSSettings:
    return _settings(authority.issue("locked", password=b"open sesame"), key_password="guessed")


def _needless_password(authority: Authority, good: Issued) -> TLSSettings:
    return _settings(good, key_password="guessed")


def _no_client_authority(authority: Authority, good: Issued) -> TLSSettings:
    return _settings(good, client_ca_file=good.key_file)


@pytest.mark.parametrize(
    ("spoil", "setting", "reason"),
    [
        (_missing, CERTIFICATE, "cannot be read"),
        (_missing_key, KEY, "cannot be read"),
        (_others_key, KEY, "not that of the certificate"),
        (_no_certificate, CERTIFICATE, "no certificate"),
        (_no_key, KEY, "no private key"),
        (_expired, CERTIFICATE, "has expired"),
        (_not_yet, CERTIFICATE, "begins to hold"),
        (_no_password, PASSWORD, "encrypted"),
        (_wrong_password, PASSWORD, "does not open"),
        (_needless_password, PASSWORD, "not encrypted"),
        (_no_client_authority, "GENAI_TLS__CLIENT_CA_FILE", "no certificates"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_what_cannot_be_served_names_the_setting(
    authority: Authority, spoil: Callable[[Authority, Issued], TLSSettings], setting: str, reason: str
) -> None:
    good = authority.issue("server")
    with pytest.raises(SettingsError, match=reason) as refused:
        read_certificate(spoil(authority, good), _now())
    assert setting in str(refused.value)
    assert "guessed" not in str(refused.value)


@pytest.mark.parametrize(
    "tls",
    [
        {"key_file": "a.key"},
        {"client_ca_file": "a.pem"},
        {"certificate_file": "a.crt"},
        {"certificate_file": "a.crt", "key_file": "a.key", "key": "k"},
    ],
    ids=lambda tls: "+".join(tls),
)
def test_half_of_a_pair_is_refused(tls: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="certificate_file"):
        Settings.load(tls=tls)


def test_what_lies_on_the_disk_has_another_digest_when_a_file_changes_or_goes(authority: Authority) -> None:
    issued = authority.issue("server")
    tls = _settings(issued)
    before = on_disk(tls)
    assert on_disk(tls) == before
    authority.issue("server", key=None)
    renewed = on_disk(tls)
    issued.key_file.unlink()
    assert len({before, renewed, on_disk(tls)}) == 3


def test_a_certificate_is_good_until_its_last_moment(authority: Authority) -> None:
    tls = _settings(authority.issue("server"))
    ends = read_certificate(tls, _now()).ends_at
    assert read_certificate(tls, ends).ends_at == ends
    with pytest.raises(SettingsError, match="has expired"):
        read_certificate(tls, ends + timedelta(seconds=1))
