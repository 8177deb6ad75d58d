"""Authorities of the operator's own: believed beside the system's, by every library."""

import os
import ssl
from pathlib import Path

import pytest

from core.settings import Settings, SettingsError
from core.transport import trust
from tests.authority import Authority

BROKEN = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"):
        monkeypatch.setenv(name, "")  # put back afterwards
    return Authority(tmp_path / "authority")


def _serials(context: ssl.SSLContext) -> set[str]:
    return {str(each["serialNumber"]) for each in context.get_ca_certs()}


def test_the_systems_authorities_stay_and_the_own_ones_join_them(authority: Authority, tmp_path: Path) -> None:
    system = _serials(ssl.create_default_context(cafile=trust.trusted_file()))
    own = _serials(authority.client())
    Settings.load(data_dir=tmp_path / "data", tls={"ca_file": authority.file})
    assert trust.trusted_file() == str(tmp_path / "data" / "trusted.pem") == os.environ["AWS_CA_BUNDLE"]
    assert _serials(trust.outward_context()) == system | own
    assert _serials(ssl.create_default_context()) >= own  # what httpx, redis and boto make


def test_a_renewed_file_replaces_what_was_trusted_by_it_and_not_the_systems(authority: Authority, tmp_path: Path) -> None:
    before = Path(trust.trusted_file()).read_bytes().rstrip()
    trust.trust(authority.file, tmp_path)
    other = Authority(tmp_path / "other")
    trust.trust(other.file, tmp_path)
    trust.trust(other.file, tmp_path)
    assert (tmp_path / "trusted.pem").read_bytes() == before + b"\n" + other.file.read_bytes()


@pytest.mark.parametrize("content", [None, b"", b"no certificate", BROKEN], ids=["missing", "empty", "text", "broken"])
def test_a_file_without_authorities_names_the_setting(authority: Authority, content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "none.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match="GENAI_TLS__CA_FILE"):
        Settings.load(data_dir=tmp_path / "data", tls={"ca_file": file})
    assert os.environ["SSL_CERT_FILE"] == ""
