"""Which version a request goes by: one to its end, whatever is deployed meanwhile."""

from pathlib import Path
from typing import Any

import pytest

from chains.prompting import built_in, prompt
from core.context import RequestContext, serving
from core.database import Database
from core.errors import NotFound
from core.principals import SYSTEM, Principal
from core.settings import ModelAlias, Settings
from core.tables import Registered
from providers.catalogue import standings
from providers.editions import NoAssignments
from providers.models import Models
from providers.registry.content import content_of, digest_of
from providers.registry.heads import Acting
from providers.registry.plans import Plan
from providers.registry.seeding import seed
from providers.registry.store import Registry

MODEL = Registered.MODEL


def alias(model: str, **more: Any) -> ModelAlias:
    return ModelAlias.model_validate({"alias": "default", "deployments": [{"provider": "openai", "model": model}], **more})


@pytest.fixture
def models(tmp_path: Path) -> Models:
    first = alias("one").model_dump(exclude_defaults=True)
    return Models(Settings.load(data_dir=tmp_path, models=[first], providers={"openai": {"api_key": "sk-none"}}))


def request(**more: Any) -> RequestContext:
    return RequestContext(request_id=more.pop("request_id", "req_1"), principal=more.pop("principal", SYSTEM), **more)


def asked(models: Models, context: RequestContext) -> tuple[int, str]:
    """The version's number and the model that a request would call."""
    with serving(context):
        model: Any = models.chat()
        return models.versions.chosen("default").number, model.deployments[0].model


async def deployed(database: Database, models: Models, *aliases: ModelAlias) -> Registry:
    registry = Registry(database)
    await seed(database, models.settings.aliases)
    for each in aliases:
        row = await registry.add_model(SYSTEM, each, reason="")
        await registry.deploy(SYSTEM, MODEL, "default", row.number, reason="")
    await models.versions.load(database)
    return registry


async def test_a_request_and_all_beside_it_keep_the_version_that_they_began_with(database: Database, models: Models) -> None:
    await deployed(database, models)
    begun = request()
    assert asked(models, begun) == (1, "one")
    registry = await deployed(database, models, alias("two"))
    assert asked(models, begun) == asked(models, begun.beside()) == (1, "one")
    assert asked(models, request()) == (2, "two")
    await registry.roll_back(SYSTEM, MODEL, "default", reason="")
    await models.versions.load(database)
    assert asked(models, request()) == (1, "one")


async def test_what_is_built_of_a_version_is_built_once(database: Database, models: Models) -> None:
    registry = await deployed(database, models)
    with serving(request()):
        before = models.chat()
    await registry.add_model(SYSTEM, alias("two"), reason="")
    await models.versions.load(database)
    with serving(request()):
        assert models.chat() is before


async def test_an_experiment_goes_before_shares_and_is_asked_once_a_request(database: Database, models: Models) -> None:
    class Experiment:
        def __init__(self) -> None:
            self.asked: list[str] = []

        def version_of(self, alias: str, request: RequestContext) -> int | None:
            self.asked.append(request.request_id)
            return {"req_1": 2, "req_2": None, "req_3": 99}[request.request_id]

    registry = await deployed(database, models)
    await registry.add_model(SYSTEM, alias("two"), reason="")
    await models.versions.load(database)
    models.versions.assignments = experiment = Experiment()
    first = request()
    assert asked(models, first) == asked(models, first) == (2, "two")
    assert asked(models, request(request_id="req_2")) == asked(models, request(request_id="req_3")) == (1, "one")
    assert experiment.asked == ["req_1", "req_2", "req_3"]


async def test_a_candidate_is_given_its_share_and_a_session_stays_with_it_while_the_share_grows(
    database: Database, models: Models
) -> None:
    registry = await deployed(database, models)
    await registry.add_model(SYSTEM, alias("two"), reason="")
    chosen: list[set[str]] = []
    for weight in (10, 40):
        plan = Plan.model_validate({"steps": [{"weight": weight}]})
        await registry.deploy(SYSTEM, MODEL, "default", 2, reason="", plan=plan)
        await models.versions.load(database)
        of = {f"s{number}": asked(models, request(session_id=f"s{number}"))[0] for number in range(1000)}
        chosen.append({session for session, number in of.items() if number == 2})
    assert 70 <= len(chosen[0]) <= 130
    assert 350 <= len(chosen[1]) <= 450
    assert chosen[0] < chosen[1]


async def test_deployments_that_only_a_canary_or_an_experiment_gives_are_told_of_as_tried(
    database: Database, models: Models
) -> None:
    class Experiment(NoAssignments):
        def held(self) -> frozenset[tuple[str, int]]:
            return frozenset({("default", 1), ("default", 3), ("default", 99), ("gone", 1)})

    def told() -> dict[str, tuple[bool, list[str]]]:
        with serving(request()):
            found = [each for each in standings(models) if each["aliases"] != ["embeddings"]]
            return {each["model"]: (each["tried"], each["aliases"]) for each in found}

    registry = await deployed(database, models)
    for model in ("two", "three", "four"):
        await registry.add_model(SYSTEM, alias(model), reason="")
    await models.versions.load(database)
    assert told() == {"one": (False, ["default"])}
    plan = Plan.model_validate({"steps": [{"weight": 10}]})
    await registry.deploy(SYSTEM, MODEL, "default", 2, reason="", plan=plan)
    models.versions.assignments = Experiment()
    await models.versions.load(database)
    assert told() == {"one": (False, ["default"]), "two": (True, ["default"]), "three": (True, ["default"])}
    with serving(request(principal=Principal("usr_1", "acme", "Ada", "user", frozenset(), models=frozenset({"other"})))):
        assert standings(models) == []


async def test_a_person_stays_with_one_version_and_a_programs_requests_have_each_their_own(
    database: Database, models: Models
) -> None:
    registry = await deployed(database, models)
    await registry.add_model(SYSTEM, alias("two"), reason="")
    plan = Plan.model_validate({"steps": [{"weight": 50}]})
    await registry.deploy(SYSTEM, MODEL, "default", 2, reason="", plan=plan)
    await models.versions.load(database)
    person = Principal("usr_1", "acme", "Ada", "user", frozenset(), from_cookie=True)
    program = Principal("usr_2", "acme", "bot", "user", frozenset(), key_id="key_1")
    of_person = {asked(models, request(request_id=f"r{number}", principal=person))[0] for number in range(50)}
    of_program = {asked(models, request(request_id=f"r{number}", principal=program))[0] for number in range(50)}
    assert len(of_person) == 1
    assert of_program == {1, 2}


async def test_a_version_that_cannot_be_built_here_leaves_what_was_live(database: Database, models: Models) -> None:
    broken = ModelAlias.model_validate({"alias": "default", "deployments": [{"provider": "openai_compatible:x", "model": "y"}]})
    await deployed(database, models, broken)
    assert asked(models, request()) == (1, "one")


async def test_limits_are_those_of_the_versions_that_are_used(database: Database, models: Models) -> None:
    def limited(most: int) -> ModelAlias:
        deployment = {"provider": "openai", "model": "one", "requests_per_minute": most}
        return ModelAlias.model_validate({"alias": "default", "deployments": [deployment]})

    await deployed(database, models, limited(5), limited(50))
    (served,) = models.versions.live()["default"].served
    assert served.standing.capacity is not None
    assert served.standing.capacity.limits.requests_per_minute == 50


async def test_a_request_keeps_its_prompts_and_a_version_may_pin_one(database: Database, models: Models) -> None:
    registry = await deployed(database, models)
    with serving(request()):
        assert prompt("rag_hyde.txt") is built_in("rag_hyde.txt")
    row = await registry.add_prompt(SYSTEM, "rag_hyde.txt", "Write of $question", reason="")
    begun = request()
    asked(models, begun)
    await registry.deploy(SYSTEM, Registered.PROMPT, "rag_hyde.txt", row.number, reason="")
    await models.versions.load(database)
    with serving(begun):
        assert prompt("rag_hyde.txt") is built_in("rag_hyde.txt")
    begun = request()
    asked(models, begun)
    with serving(begun.beside()):
        assert prompt("rag_hyde.txt").template == "Write of $question"
    await deployed(database, models, alias("two", prompts={"rag_hyde.txt": 0}))
    pinned = request()
    asked(models, pinned)
    with serving(pinned):
        assert prompt("rag_hyde.txt") is built_in("rag_hyde.txt")


async def test_a_pinned_prompt_holds_when_another_is_live_and_its_text_is_in_the_label(
    database: Database, models: Models
) -> None:
    registry = await deployed(database, models)
    texts = ("Write of $question", "Speak of $question")
    for number, text in enumerate(texts, 1):
        await registry.add_prompt(SYSTEM, "rag_hyde.txt", text, reason="")
        await registry.deploy(SYSTEM, Registered.PROMPT, "rag_hyde.txt", number, reason="")  # which retires the one before
    for _ in range(3):
        await registry.add_model(SYSTEM, alias("another"), reason="")
    await deployed(database, models, alias("two", prompts={"rag_hyde.txt": 1}))
    pinned = request()
    asked(models, pinned)
    with serving(pinned):
        assert prompt("rag_hyde.txt").template == texts[0]
    live = models.versions.live()["default"]
    assert live.digest != models.answers.version(live.alias)


async def test_a_prompt_that_is_deployed_shows_in_the_label_of_what_is_asked_with_it(
    database: Database, models: Models
) -> None:
    registry = await deployed(database, models)
    labels = [models.versions.live()["default"].label]
    await registry.add_prompt(SYSTEM, "rag_hyde.txt", "Write of $question", reason="")
    await registry.deploy(SYSTEM, Registered.PROMPT, "rag_hyde.txt", 1, reason="")
    for _ in range(2):
        await models.versions.load(database)
        labels.append(models.versions.live()["default"].label)
    await registry.roll_back(SYSTEM, Registered.PROMPT, "rag_hyde.txt", reason="")
    await models.versions.load(database)
    assert labels == [models.versions.live()["default"].label, labels[1], labels[1]]
    assert labels[0] != labels[1]


async def test_a_version_whose_pinned_prompt_is_not_there_is_not_asked_with_the_built_in_one(
    database: Database, tmp_path: Path
) -> None:
    pins = alias("one", prompts={"rag_hyde.txt": 1})
    given = pins.model_dump(exclude_defaults=True)
    models = Models(Settings.load(data_dir=tmp_path, models=[given], providers={"openai": {"api_key": "sk-none"}}))
    async with database.transaction(all_tenants=True) as session:  # as a start before this was refused has left it
        acting = await Acting.on(session, SYSTEM, MODEL, "default", reason="", make=True)
        await acting.deploy(await acting.add(content_of(pins), digest_of(content_of(pins)), "file"))
    await models.versions.load(database)
    with serving(request()), pytest.raises(NotFound):
        models.versions.chosen("default")


async def test_an_alias_that_is_withdrawn_is_not_there(database: Database, models: Models) -> None:
    await seed(database, (*models.settings.aliases, alias("two").model_copy(update={"alias": "gone"})))
    await models.versions.load(database)
    with serving(request()):
        assert models.versions.chosen("gone").number == 1
    await seed(database, models.settings.aliases)
    await models.versions.load(database)
    with serving(request()), pytest.raises(NotFound):
        models.versions.chosen("gone")
