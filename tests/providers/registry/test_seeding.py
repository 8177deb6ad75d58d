"""What a start makes of the settings' aliases: versions, once for each change of them."""

from typing import Any

import pytest
from sqlmodel import update

from core.database import Database
from core.model_settings import PromptText
from core.principals import SYSTEM
from core.settings import ModelAlias, SettingsError
from core.tables import Registered, RegistryHead
from providers.registry.content import digest_of
from providers.registry.seeding import seed
from providers.registry.store import Registry

MODEL = Registered.MODEL


def alias(name: str, *models: str, **more: Any) -> ModelAlias:
    return ModelAlias.model_validate(
        {"alias": name, "deployments": [{"provider": "openai", "model": model} for model in models], **more}
    )


async def told(database: Database, name: str) -> list[tuple[int, str, str]]:
    """The versions of an alias, the newest first: number, state, source."""
    return [(row.number, row.state, row.source) for row in await Registry(database).versions(MODEL, name)]


async def test_the_first_start_makes_version_1_of_each_alias_and_the_next_ones_nothing(database: Database) -> None:
    for _ in range(2):
        await seed(database, [alias("default", "a"), alias("other", "b")])
    assert await told(database, "default") == await told(database, "other") == [(1, "live", "file")]
    assert [event.act for event in await Registry(database).events(MODEL, "default")] == ["deployed", "created"]


async def test_a_changed_file_is_deployed_and_ends_a_canary(database: Database) -> None:
    registry = Registry(database)
    await seed(database, [alias("default", "a")])
    await registry.add_model(SYSTEM, alias("default", "b"), reason="")
    await seed(database, [alias("default", "c")])
    assert await told(database, "default") == [(3, "live", "file"), (2, "draft", "api"), (1, "retired", "file")]
    head = await registry.head(MODEL, "default")
    assert (head.live, head.past) == (3, [1])


async def test_what_was_deployed_otherwise_stays_while_the_file_says_the_same(database: Database) -> None:
    registry = Registry(database)
    await seed(database, [alias("default", "a")])
    row = await registry.add_model(SYSTEM, alias("default", "b"), reason="")
    await registry.deploy(SYSTEM, MODEL, "default", row.number, reason="")
    await seed(database, [alias("default", "a")])
    assert (await registry.head(MODEL, "default")).live == 2


async def test_a_file_that_says_what_is_live_makes_no_version(database: Database) -> None:
    registry = Registry(database)
    await seed(database, [alias("default", "a")])
    row = await registry.add_model(SYSTEM, alias("default", "b"), reason="")
    await registry.deploy(SYSTEM, MODEL, "default", row.number, reason="")
    await seed(database, [alias("default", "b")])
    assert [number for number, _, _ in await told(database, "default")] == [2, 1]


def priced(amount: str, model: str = "a") -> ModelAlias:
    deployment = {"provider": "openai", "model": model, "price": {"input_usd_per_million": amount}}
    return ModelAlias.model_validate({"alias": "default", "deployments": [deployment]})


@pytest.mark.parametrize("noted", ["now", "before"])
async def test_a_price_that_the_file_writes_otherwise_deploys_nothing(database: Database, noted: str) -> None:
    """`before`: as starts noted what a file says before they compared amounts."""
    registry = Registry(database)
    await seed(database, [priced("10.0")])
    row = await registry.add_model(SYSTEM, priced("3"), reason="")
    await registry.deploy(SYSTEM, MODEL, "default", row.number, reason="")
    if noted == "before":
        async with database.transaction(all_tenants=True) as session:
            written = digest_of(priced("10.0").model_dump(mode="json", exclude_defaults=True))
            await session.exec(update(RegistryHead).values(file_digest=written))
        await seed(database, [priced("10.0")])
    for amount in ("10.0", "10", "1E+1", "10.00"):
        await seed(database, [priced(amount)])
    assert (await registry.head(MODEL, "default")).live == 2
    await seed(database, [priced("3.00")])
    assert [number for number, _, _ in await told(database, "default")] == [2, 1], "what is live says so"
    await seed(database, [priced("100")])
    assert (await registry.head(MODEL, "default")).live == 3


async def test_an_alias_that_the_file_has_no_more_is_served_no_more_and_may_come_back(database: Database) -> None:
    registry = Registry(database)
    await seed(database, [alias("default", "a"), alias("gone", "b")])
    await registry.add_model(SYSTEM, alias("ours", "c"), reason="")
    await registry.deploy(SYSTEM, MODEL, "ours", 1, reason="")
    await seed(database, [alias("default", "a")])
    assert (await registry.head(MODEL, "gone")).live is None
    assert (await registry.head(MODEL, "ours")).live == 1
    await seed(database, [alias("default", "a"), alias("gone", "b")])
    assert (await registry.head(MODEL, "gone")).live == 2


async def test_a_rollback_of_what_was_withdrawn_brings_back_what_was_live(database: Database) -> None:
    registry = Registry(database)
    for model in ("a", "b"):
        await seed(database, [alias("default", "a"), alias("gone", model)])
    await seed(database, [alias("default", "a")])
    await registry.roll_back(SYSTEM, MODEL, "gone", reason="")
    head = await registry.head(MODEL, "gone")
    assert (head.live, head.past) == (2, [1])


PINNED = {"rag_hyde.txt": 3}
TEXT = PromptText(name="rag_hyde.txt", version=3, text="Write of $question")


async def test_a_prompt_that_is_pinned_and_not_there_stops_the_start(database: Database) -> None:
    with pytest.raises(SettingsError, match=r"'default' pins version 3 of the prompt rag_hyde\.txt"):
        await seed(database, [alias("default", "a", prompts=PINNED)])
    assert await Registry(database).heads(MODEL) == []


async def test_a_pinned_prompt_comes_with_its_text_and_has_the_number_that_the_text_has_here(database: Database) -> None:
    registry = Registry(database)
    await registry.add_prompt(SYSTEM, "rag_hyde.txt", "Another of $question", reason="")
    for _ in range(2):
        await seed(database, [alias("default", "a", prompts=PINNED)], [TEXT])
    (row,) = await registry.versions(MODEL, "default")
    assert row.content["prompts"] == {"rag_hyde.txt": 2}
    assert (await registry.version(Registered.PROMPT, "rag_hyde.txt", 2)).content == {"text": TEXT.text}
    await seed(database, [alias("default", "a", prompts=PINNED)], [TEXT.model_copy(update={"text": "Another of $question"})])
    assert (await registry.versions(MODEL, "default"))[0].content["prompts"] == {"rag_hyde.txt": 1}
