"""What makes a credential of which provider, and which addresses may stand beside it."""

import json

import pytest

from core.credential_forms import checked_options, checked_secrets, hint_of, project_of
from core.errors import Forbidden, InvalidRequest, PlatformError
from core.principals import ANONYMOUS, SYSTEM
from core.provider_credentials import settings_with
from core.settings import ProviderSettings

KEY_FILE = json.dumps(
    {
        "type": "service_account",
        "project_id": "acme-ai",
        "private_key_id": "1",
        "private_key": "-----BEGIN",
        "client_email": "robot@acme-ai.iam.gserviceaccount.com",
        "token_uri": "http://169.254.169.254/steal",
    }
)


@pytest.mark.parametrize(
    ("provider", "names", "good"),
    [
        ("openai", ["api_key"], True),
        ("openai", ["access_key_id"], False),
        ("openai_compatible:ours", ["api_key"], True),
        ("azure", ["api_key"], True),
        ("bedrock", ["api_key"], True),
        ("bedrock", ["access_key_id"], False),
        ("bedrock", ["access_key_id", "secret_access_key"], True),
        ("bedrock", ["access_key_id", "secret_access_key", "session_token"], True),
        ("bedrock", ["api_key", "access_key_id", "secret_access_key"], False),
        ("vertex", ["api_key"], True),
        ("a-plugins", ["session_token"], True),
        ("a-plugins", [], False),
    ],
)
def test_a_half_credential_is_none(provider: str, names: list[str], good: bool) -> None:
    secrets = dict.fromkeys(names, "s3cret-value")
    if good:
        assert checked_secrets(provider, secrets) == secrets
        return
    with pytest.raises(InvalidRequest) as caught:
        checked_secrets(provider, secrets)
    assert (caught.value.code, "s3cret" in caught.value.message) == ("invalid_credential", False)


def test_of_googles_key_file_its_address_for_tokens_is_not_taken() -> None:
    kept = checked_secrets("vertex", {"service_account": KEY_FILE})
    assert json.loads(kept["service_account"])["token_uri"] == "https://oauth2.googleapis.com/token"
    assert (project_of(kept), hint_of(kept)) == ("acme-ai", "robot@acme-ai.i…")
    for bad in ("{}", "[]", "no json", KEY_FILE.replace("service_account", "external_account"), "x" * 20_000):
        with pytest.raises(InvalidRequest):
            checked_secrets("vertex", {"service_account": bad})


@pytest.mark.parametrize(
    ("provider", "address", "operator", "refused"),
    [
        ("openai", "http://127.0.0.1:9/v1", True, None),
        ("openai", "https://api.example.com/v1", False, Forbidden),
        ("azure", "https://acme.openai.azure.com", False, None),
        ("azure", "https://acme.openai.azure.com.evil.example", False, Forbidden),
        ("azure", "https://evil.example/#.openai.azure.com", False, InvalidRequest),
        ("azure", "https://evil.example\\.openai.azure.com", False, InvalidRequest),
        ("azure", "http://acme.openai.azure.com", False, Forbidden),
        ("azure", "https://acme.openai.azure.com:22", False, Forbidden),
        ("azure", "https://me@acme.openai.azure.com", False, InvalidRequest),
        ("azure", "ftp://acme.openai.azure.com", True, InvalidRequest),
        ("azure", "https://[", True, InvalidRequest),
        ("openai", "https://a.example?x=1", True, InvalidRequest),
    ],
)
def test_who_is_no_operator_names_an_azure_resource_and_no_other_address(
    provider: str, address: str, operator: bool, refused: type[PlatformError] | None
) -> None:
    who = SYSTEM if operator else ANONYMOUS
    if refused is None:
        assert checked_options(provider, {"base_url": address}, who) == {"base_url": address}
        return
    with pytest.raises(refused):
        checked_options(provider, {"base_url": address}, who)


@pytest.mark.parametrize(
    "options", [{"region": "evil.example/"}, {"project": "../x"}, {"api_version": "1&x=y"}, {"proxy": "x"}]
)
def test_what_would_change_an_address_is_no_option(options: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        checked_options("vertex", options, SYSTEM)


def test_nothing_that_opens_the_configured_account_is_left() -> None:
    configured = ProviderSettings.model_validate(
        {
            "base_url": "https://ours.example",
            "api_key": "ours",
            "role": "arn:ours",
            "profile": "ours",
            "project": "ours",
            "connections": 7,
            "extra_headers": {"x-gateway": "ours"},
        }
    )
    own = settings_with(configured, {"api_key": "theirs"}, {})
    assert (own.base_url, own.role, own.profile, own.extra_headers) == (
        "https://ours.example",
        None,
        None,
        {"x-gateway": "ours"},
    )
    elsewhere = settings_with(configured, {"api_key": "theirs"}, {"base_url": "https://theirs.example"})
    assert (elsewhere.base_url, elsewhere.extra_headers, elsewhere.connections) == ("https://theirs.example", {}, 7)
    google = settings_with(configured, checked_secrets("vertex", {"service_account": KEY_FILE}), {})
    assert (google.project, google.api_key) == ("acme-ai", None)
