"""Every cloud called with credentials that are kept at run time: tried by its probe, then called with, chat and embeddings."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from core.context import RequestContext, serving
from core.credential_forms import checked_secrets
from core.database import Database
from core.errors import DataPolicyRefused, Unavailable
from core.policies.policy import Policy
from core.principals import SYSTEM
from core.provider_credentials import ProviderCredentials, settings_with
from core.settings import ModelAlias, ProviderSettings, Settings
from core.tables import ProviderCredential
from providers.google_access import GoogleAccess
from providers.models import Models
from providers.moderation import moderated
from providers.trial import tried
from tests.fakes.clouds import CLOUDS, Cloud
from tests.fakes.wire import Fake, Fault

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ACME = replace(SYSTEM, id="key_acme", tenant="acme")
SECRETS = {
    "bedrock": {"access_key_id": "AKIDCANARY", "secret_access_key": "canary-secret"},
}
SHOWN = {"bedrock": "AKIDCANARY"}


@pytest.fixture(params=list(CLOUDS))
def cloud(request: pytest.FixtureRequest) -> Cloud:
    return CLOUDS[request.param]


@pytest.fixture
def fake(cloud: Cloud) -> Iterator[Fake]:
    with cloud.start() as started:
        yield started


def secrets_of(cloud: Cloud) -> Mapping[str, str]:
    return SECRETS.get(cloud.provider, {"api_key": "canary-key"})


@pytest.fixture
def configured(settings: Settings, cloud: Cloud, fake: Fake) -> Settings:
    """The provider without a credential of its own."""
    options = {name: value for name, value in cloud.options.items() if name in ("project", "region")}
    provider = ProviderSettings(base_url=fake.url + cloud.path, credentials="run_time", **options)
    aliases = [ModelAlias(alias="default", deployments=(cloud.deployment(),))]
    if cloud.embedding is not None:
        embedding: Any = [{"provider": cloud.provider, "model": cloud.embedding}]
        aliases.append(ModelAlias(alias="embeddings", kind="embeddings", deployments=embedding))
    return settings.model_copy(update={"models": tuple(aliases), "providers": {cloud.provider: provider}})


def of(tenant: str) -> serving:
    return serving(RequestContext(request_id="-", principal=replace(SYSTEM, tenant=tenant)))


@ON_SQLITE
async def test_a_cloud_is_called_with_the_tenants_own(
    database: Database, configured: Settings, cloud: Cloud, fake: Fake
) -> None:
    models, credentials = Models(configured), ProviderCredentials(database)
    shown = SHOWN.get(cloud.provider, "canary-key")
    try:
        with of("acme"), pytest.raises(Unavailable):
            await models.chat().ainvoke("Hello")
        row = await credentials.add(ACME, provider=cloud.provider, name="ours", secrets=secrets_of(cloud))
        await models.accounts.load(database)
        with of("acme"):
            assert (await models.chat().ainvoke("Hello")).text
            assert shown in json.dumps(dict(fake.last.headers))
            if cloud.embedding is not None:
                assert await models.embeddings().aembed_query("Hello")
                assert shown in json.dumps(dict(fake.last.headers))
        with of("globex"), pytest.raises(Unavailable):
            await models.chat().ainvoke("Hello")
        await credentials.remove(ACME, row.id)
        await models.accounts.load(database)
        with of("acme"), pytest.raises(Unavailable):
            await models.chat().ainvoke("Hello")
    finally:
        await models.close()


async def test_a_cloud_says_whether_it_takes_one(configured: Settings, cloud: Cloud, fake: Fake) -> None:
    models = Models(configured)
    asked = settings_with(configured.providers[cloud.provider], secrets_of(cloud), {})
    well = await tried(models, cloud.provider, asked)
    assert (well.ok, well.code, well.model) == (True, "", cloud.chat)
    assert SHOWN.get(cloud.provider, "canary-key") in json.dumps(dict(fake.last.headers))
    fake.always(Fault.CREDENTIAL)
    bad = await tried(models, cloud.provider, asked)
    assert (bad.ok, bad.code) == (False, "authentication")
    await models.close()


@ON_SQLITE
async def test_one_that_cannot_be_opened_is_replaced_by_no_other(database: Database, settings: Settings) -> None:
    """Nobody has said that the platform pays for the tenant."""
    with CLOUDS["openai"].start() as fake:
        providers = {"openai": CLOUDS["openai"].settings(fake)}
        aliases = (ModelAlias(alias="default", deployments=(CLOUDS["openai"].deployment(),)),)
        models = Models(settings.model_copy(update={"models": aliases, "providers": providers}))
        row = await ProviderCredentials(database).add(ACME, provider="openai", name="x", secrets={"api_key": "canary-key"})
        async with database.transaction(all_tenants=True) as session:
            moved = await session.get_one(ProviderCredential, row.id)
            moved.tenant = "globex"
            session.add(moved)
        await models.accounts.load(database)
        with of("globex"), pytest.raises(Unavailable) as refused:
            await models.chat().ainvoke("Hello")
        assert refused.value.code == "no_credential"
        with of("acme"):
            assert (await models.chat().ainvoke("Hello")).text
        await models.close()


def test_googles_key_file_asks_google_for_tokens_and_names_the_project() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    file = {
        "type": "service_account",
        "project_id": "acme-ai",
        "private_key": pem,
        "client_email": "robot@acme-ai.iam.gserviceaccount.com",
        "token_uri": "http://127.0.0.1:1/steal",
    }
    secrets = checked_secrets("vertex", {"service_account": json.dumps(file)})
    access = GoogleAccess(settings_with(ProviderSettings(project="ours"), secrets, {}))
    assert access.project == "acme-ai"
    assert getattr(access.credentials, "_token_uri") == "https://oauth2.googleapis.com/token"  # noqa: B009 - it is not public


@ON_SQLITE
@pytest.mark.parametrize(
    ("options", "region"),
    [
        ({}, "eu-west-1"),
        ({"base_url": "https://api.example.com/v1/"}, "eu-west-1"),
        ({"base_url": "https://elsewhere.example.com/v1"}, None),
        ({"base_url": "https://elsewhere.example.com/v1", "region": "eu-north-1"}, "eu-north-1"),
    ],
    ids=["as-configured", "same-address", "elsewhere", "elsewhere-in-a-region"],
)
@pytest.mark.parametrize("of_deployment", [False, True], ids=["of-the-provider", "of-the-deployment"])
async def test_an_address_of_its_own_is_not_where_the_configured_provider_is(
    database: Database, settings: Settings, options: dict[str, str], region: str | None, of_deployment: bool
) -> None:
    deployment: Any = {"provider": "openai", "model": "gpt-4o-mini"} | ({"region": "eu-west-1"} if of_deployment else {})
    provider = ProviderSettings(
        base_url="https://api.example.com/v1", region=None if of_deployment else "eu-west-1", credentials="run_time"
    )
    alias = ModelAlias.model_validate({"alias": "default", "deployments": [deployment]})
    models = Models(settings.model_copy(update={"models": (alias,), "providers": {"openai": provider}}))
    models.policies.defaults = Policy.model_validate({"data": {"regions": ["eu-*"]}})
    secrets = {"api_key": "sk-theirs"}
    try:
        await ProviderCredentials(database).add(ACME, provider="openai", name="ours", secrets=secrets, options=options)
        await models.accounts.load(database)
        with of("acme"):
            chat: Any = models.chat()
            if region is None:
                with pytest.raises(DataPolicyRefused):
                    chat.route.within_policy()
                with pytest.raises(DataPolicyRefused):
                    await moderated(models, "openai", "omni-moderation-latest", "Hello", timeout_s=1)
            else:
                assert [each.region for each in chat.route.within_policy().deployments] == [region]
    finally:
        await models.close()
