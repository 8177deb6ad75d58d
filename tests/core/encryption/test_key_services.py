"""Key services at the wire: each wraps for one context alone, and its refusals are told without a secret."""

from dataclasses import dataclass

import pytest

from core.encryption import KEY_SOURCES
from core.encryption.sources import KeySource
from core.errors import DecryptionFailed, Unavailable
from core.settings import Settings, SettingsError
from tests.core.key_services import services
from tests.fakes.key_services import TOKEN, KeyServices

__all__ = ["services"]

SECRET, CONTEXT = bytes(range(32)), {"key": "k1", "tenant": "acme"}


@dataclass(frozen=True)
class Service:
    source: str
    key_id: str


SERVICES = [
    Service("aws_kms", "arn:aws:kms:eu-central-1:1:key/ours"),
    Service("google_kms", "projects/p/locations/l/keyRings/r/cryptoKeys/ours"),
    Service("azure_key_vault", "URL/azure/keys/ours"),
    Service("vault_transit", "ours"),
]
ALL = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.source)


def opened(service: Service, services: KeyServices, settings: Settings) -> KeySource:
    key_id = service.key_id.replace("URL", services.url)
    configured = Settings.load(data_dir=settings.data_dir, encryption={"source": service.source, "key_id": key_id})
    source: KeySource = KEY_SOURCES.load(service.source)(configured)
    return source


@ALL
def test_a_wrapped_key_comes_back_and_does_not_show(service: Service, services: KeyServices, settings: Settings) -> None:
    source = opened(service, services, settings)
    wrapped = source.wrap(SECRET, CONTEXT)
    assert SECRET not in wrapped
    assert opened(service, services, settings).unwrap(wrapped, CONTEXT) == SECRET
    assert source.name.startswith(f"{service.source}:")


@ALL
def test_what_was_wrapped_for_one_tenant_is_not_unwrapped_for_another(
    service: Service, services: KeyServices, settings: Settings
) -> None:
    source = opened(service, services, settings)
    with pytest.raises(DecryptionFailed):
        source.unwrap(source.wrap(SECRET, CONTEXT), CONTEXT | {"tenant": "evil"})


@ALL
@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_told_without_a_secret(service: Service, services: KeyServices, settings: Settings, status: int) -> None:
    source = opened(service, services, settings)
    wrapped = source.wrap(SECRET, CONTEXT)
    services.status = status
    for call in (lambda: source.wrap(SECRET, CONTEXT), lambda: source.unwrap(wrapped, CONTEXT)):
        with pytest.raises(Unavailable) as caught:
            call()
        assert caught.value.code == "keys_unavailable"
        assert TOKEN not in repr((caught.value.message, caught.value.context))


@ALL
def test_a_service_that_is_away_is_told_as_that(service: Service, services: KeyServices, settings: Settings) -> None:
    source = opened(service, services, settings)
    services.__exit__()
    with pytest.raises(Unavailable):
        source.wrap(SECRET, CONTEXT)


@ALL
def test_without_the_name_of_the_key_the_setting_is_named(service: Service, settings: Settings) -> None:
    with pytest.raises(SettingsError, match="GENAI_ENCRYPTION__KEY_ID"):
        KEY_SOURCES.load(service.source)(settings)


def test_azure_is_asked_for_versions_of_the_configured_key_alone(services: KeyServices, settings: Settings) -> None:
    source = opened(SERVICES[2], services, settings)
    with pytest.raises(Unavailable):
        source.unwrap(b'{"kid": "https://evil.example/keys/theirs/v1", "value": "AAAA"}', CONTEXT)
    assert services.asked == []


@pytest.mark.parametrize("address", ["http://vault.example:8200", "ftp://127.0.0.1", "vault", ""])
def test_a_key_is_sent_in_the_clear_to_this_machine_alone(
    address: str, services: KeyServices, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_ADDR", address)
    with pytest.raises(Unavailable):
        opened(SERVICES[3], services, settings).wrap(SECRET, CONTEXT)
