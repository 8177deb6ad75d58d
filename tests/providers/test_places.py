from typing import Any

import pytest

from core.settings import Deployment, ProviderSettings, Settings, SettingsError
from providers.models import Models
from providers.places import check_settings, is_here, region_of


@pytest.mark.parametrize(
    ("deployment", "configured", "region"),
    [
        ({"provider": "openai", "model": "gpt-4o"}, None, None),
        ({"provider": "openai", "model": "gpt-4o"}, {"region": "eu"}, "eu"),
        ({"provider": "openai", "model": "gpt-4o", "region": "us"}, {"region": "eu"}, "us"),
        ({"provider": "bedrock", "model": "anthropic.claude-v2"}, {"region": "eu-west-1"}, "eu-west-1"),
        ({"provider": "bedrock", "model": "eu.anthropic.claude-v2"}, {"region": "eu-west-1"}, "eu"),
        ({"provider": "bedrock:us", "model": "global.anthropic.claude-v2"}, {"region": "eu-west-1"}, "global"),
        ({"provider": "bedrock", "model": "anthropic.claude-v2"}, None, "eu-north-1"),
        ({"provider": "vertex", "model": "gemini-2.5-pro"}, None, "europe-west4"),
        ({"provider": "azure", "model": "gpt-4o"}, None, None),
    ],
)
def test_a_region_is_what_settings_and_names_tell(
    deployment: dict[str, Any], configured: dict[str, Any] | None, region: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "europe-west4")
    given = None if configured is None else ProviderSettings(**configured)
    assert region_of(Deployment(**deployment), given) == region


@pytest.mark.parametrize(
    ("provider", "model", "here"),
    [
        ("local", "bundled", True),
        ("local", "/models/a.gguf", True),
        ("local", "ollama/llama3", True),
        ("local", "http://127.0.0.1:8000/v1#m", True),
        ("local", "http://[::1]:8000/v1", True),
        ("local", "http://localhost:8000/v1", True),
        ("local", "http://10.0.0.7:8000/v1", False),
        ("local", "https://models.example.org/v1", False),
        ("openai_compatible:near", "llama", False),
    ],
)
def test_a_model_is_here_where_its_server_is_on_this_machine(provider: str, model: str, here: bool) -> None:
    assert is_here(Deployment(provider=provider, model=model)) is here


@pytest.mark.parametrize(("field", "name"), [("exclude", "opnai"), ("providers", "openai_compatible:thare")])
def test_a_data_policy_of_the_deployment_that_names_nobody_stops_the_start(field: str, name: str) -> None:
    settings = Settings.load(
        providers={"openai_compatible:there": {"base_url": "http://127.0.0.1:9/v1"}},
        policies={"data": {field: ["azure", "openai_compatible:there", "local", name]}},
    )
    with pytest.raises(SettingsError, match=rf"GENAI_POLICIES__DATA .*policies\.data\.{field}.*'{name}'"):
        check_settings(Models(settings))
    check_settings(Models(Settings.load(providers=settings.providers, policies={"data": {field: ["azure", "local"]}})))
