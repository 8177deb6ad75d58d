"""The pages of the model registry: versions, deployed by their forms, compared, rolled back; and who may."""

from typing import Any

import pytest

from core.database import Database
from core.principals import Role
from core.settings import Settings
from providers.registry.seeding import seed
from server.routes import models_page, registry
from tests.server.administration import FOREIGN_SITE, api, get, key_of, problem, send, sign_in, with_pages
from tests.server.conftest import ON_SQLITE, Guarded

pytestmark = ON_SQLITE

PAGE = "/models/default"
TOML = """
[[models]]
alias = "default"
parameters = {temperature = 0.25}
[[models.deployments]]
provider = "local"
model = "bundled"
"""


@pytest.fixture
async def here(guarded: Guarded, settings: Settings, database: Database) -> Guarded:
    for module in (registry, models_page):
        guarded.app.include_router(module.router)
    with_pages(guarded, settings)
    await seed(database, settings.aliases)
    await guarded.app.state.platform.models.versions.load(database)
    await sign_in(guarded)
    return guarded


async def standing(here: Guarded) -> dict[str, Any]:
    told: dict[str, Any] = (await api(here, "GET", "/models/registry/default")).json()
    return told


async def test_a_version_is_made_deployed_by_steps_and_taken_back(here: Guarded) -> None:
    assert 'href="/models/default"' in (await get(here, "/models")).text
    made = await send(here, PAGE, act="draft", toml=TOML, reason="<b>calmer</b>")
    assert (made.status_code, made.headers["location"]) == (303, f"{PAGE}?done=draft")
    page = (await get(here, f"{PAGE}?done=draft")).text
    assert "The version is made" in page
    assert "&lt;b&gt;calmer&lt;/b&gt;" in page
    assert "0.25" in page.partition("Two versions beside each other")[2]

    form = {"act": "deploy", "version": "2", "how": "canary", "steps": "5 for 30\n50 % for 60 min", "max_error_rate": "0.1"}
    assert (await send(here, PAGE, **form)).status_code == 303
    canary = await standing(here)
    assert (canary["live"], canary["candidate"], canary["share"]) == (1, 2, 0.05)
    assert [step["minutes"] for step in canary["canary"]["steps"]] == [30, 60]
    assert canary["canary"]["rules"]["max_error_rate"] == 0.1
    assert "The canary of version 2 is taken back" in (await get(here, PAGE)).text
    assert (await send(here, PAGE, act="rollback", reason="French")).status_code == 303
    assert (await standing(here))["candidate"] is None

    assert (await send(here, PAGE, act="deploy", version="2", how="all")).status_code == 303
    assert "Roll back to version 1" in (await get(here, PAGE)).text
    assert (await send(here, PAGE, act="rollback")).status_code == 303
    assert (await standing(here))["live"] == 1
    history = (await get(here, PAGE)).text.partition('id="history"')[2]
    assert "French" in history
    assert "It was not there then" in (await get(here, f"{PAGE}?at=2020-01-01T00:00")).text
    assert "this time has not come yet" in (await get(here, f"{PAGE}?at=2999-01-01T00:00")).text


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"act": "deploy", "version": "9"}, "version 9"),
        ({"act": "deploy", "version": "x"}, "which version"),
        ({"act": "deploy", "version": "1", "how": "canary", "steps": "much"}, "A step reads"),
        ({"act": "deploy", "version": "1", "how": "canary", "steps": "50 for 1\n5 for 1"}, "larger"),
        ({"act": "rollback"}, ""),
        ({"act": "draft", "toml": "no toml"}, "TOML"),
        ({"act": "approve", "version": "1"}, "evaluation"),
        ({"act": "nothing"}, "what to do"),
    ],
    ids=lambda value: value["act"] if isinstance(value, dict) else None,
)
async def test_what_cannot_be_is_said_on_the_page(here: Guarded, form: dict[str, str], said: str) -> None:
    page = await send(here, PAGE, **form)
    assert 400 <= page.status_code < 500
    assert said in problem(page)


async def test_who_only_reads_models_changes_none(here: Guarded) -> None:
    assert (await here.client.post(PAGE, data={"act": "rollback"}, headers=FOREIGN_SITE)).status_code == 403
    await sign_in(here, await key_of(here, Role.ANALYST))
    page = (await get(here, PAGE)).text
    assert "Deploy a version" not in page
    assert "Versions" in page
    assert (await send(here, PAGE, act="deploy", version="1")).status_code == 403
    assert (await send(here, "/models", toml=TOML)).status_code == 403
    assert (await get(here, "/models/nothing")).status_code == 404
