"""A provider beyond this machine is called by TLS, wherever its address was configured."""

import pytest
from langchain_core.exceptions import ModelAuthenticationError

from core.settings import ProviderSettings, Settings, SettingsError, TLSSettings
from providers.bedrock import BedrockProvider
from providers.models import Models
from providers.outward import refuse_plain_address

PLAIN = "http://gateway.internal/v1"


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("openai", "OPENAI_BASE_URL"),
        ("openai", "OPENAI_API_BASE"),
        ("azure", "AZURE_OPENAI_ENDPOINT"),
        ("azure:second", "AZURE_OPENAI_ENDPOINT"),
        ("bedrock", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"),
        ("bedrock", "AWS_ENDPOINT_URL"),
    ],
)
def test_the_clouds_usual_variables_are_looked_at(name: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, PLAIN)
    with pytest.raises(SettingsError, match=rf"^{variable}: gateway\.internal"):
        refuse_plain_address(name, ProviderSettings(), TLSSettings())
    refuse_plain_address(name, ProviderSettings(), TLSSettings(allow_plaintext=("gateway.internal",)))
    refuse_plain_address(name, ProviderSettings(base_url="https://gateway.internal"), TLSSettings())


def test_a_deployment_whose_provider_is_plain_beyond_this_machine_stops_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", PLAIN)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    alias = {"alias": "default", "deployments": [{"provider": "openai", "model": "m"}]}
    with pytest.raises(SettingsError, match="OPENAI_BASE_URL"):
        Models(Settings.load(data_dir=settings.data_dir, models=[alias]))
    allowed = Settings.load(data_dir=settings.data_dir, models=[alias], tls={"allow_plaintext": True})
    assert Models(allowed).provider("openai")


def test_a_provider_that_is_only_configured_while_it_serves_is_refused_when_it_is_used(settings: Settings) -> None:
    models = Models(settings)
    settings.providers["openai_compatible:late"] = ProviderSettings(base_url=PLAIN)
    with pytest.raises(SettingsError, match=r"providers\.openai_compatible:late\.base_url"):
        models.provider("openai_compatible:late")


def test_an_address_from_awss_own_configuration_is_looked_at_before_the_first_call(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    config = settings.path("aws.ini")
    config.write_text("[default]\nendpoint_url = http://gateway.internal\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    provider = BedrockProvider("bedrock", settings, ProviderSettings())
    with pytest.raises(ModelAuthenticationError, match=r"gateway\.internal is beyond this machine"):
        provider._client(1, 1)
