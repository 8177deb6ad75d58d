"""The registry in the database: what could not stand in for the live version is not deployed."""

from typing import Any

import pytest

from core.database import Database
from core.errors import Conflict, InvalidRequest
from core.principals import SYSTEM
from core.settings import ModelAlias
from core.tables import Registered
from evals.experiments.book import ExperimentBook, NewExperiment
from evals.experiments.registered import ModelVersions
from providers.experiment_definition import Definition
from providers.registry.plans import Plan
from providers.registry.store import Registry

MODEL = Registered.MODEL
PLAN = Plan.model_validate({"steps": [{"weight": 50}]})


def alias(model: str, **more: Any) -> ModelAlias:
    return ModelAlias.model_validate({"alias": "mix", "deployments": [{"provider": "openai", "model": model}], **more})


async def test_two_versions_of_embeddings_share_no_requests(database: Database) -> None:
    """What one of them has embedded stays in the collections."""
    registry = Registry(database)
    for strategy in ("failover", "cost"):
        await registry.add_model(SYSTEM, alias("a", kind="embeddings", strategy=strategy), reason="")
    await registry.deploy(SYSTEM, MODEL, "mix", 1, reason="")
    with pytest.raises(InvalidRequest) as refused:
        await registry.deploy(SYSTEM, MODEL, "mix", 2, reason="", plan=PLAN)
    assert refused.value.code == "embeddings_not_shared"
    experiment = NewExperiment(
        "one", "mix", Definition.model_validate({"variants": [{"name": "a"}, {"name": "b", "version": 2}]})
    )
    with pytest.raises(InvalidRequest) as tried:
        await ExperimentBook(database, ModelVersions(database)).create(SYSTEM, experiment)
    assert tried.value.code == "embeddings_not_shared"
    await registry.deploy(SYSTEM, MODEL, "mix", 2, reason="")
    assert (await registry.head(MODEL, "mix")).live == 2


@pytest.mark.parametrize(
    ("first", "second", "refusal"),
    [
        (alias("a", kind="embeddings"), alias("b", kind="embeddings"), "vectors_differ"),
        (alias("a"), alias("b", kind="embeddings"), "kind_differs"),
    ],
    ids=["vectors", "kind"],
)
async def test_drafts_of_before_the_first_deployment_are_held_to_what_is_live_then(
    database: Database, first: ModelAlias, second: ModelAlias, refusal: str
) -> None:
    registry = Registry(database)
    for each in (first, second):
        await registry.add_model(SYSTEM, each, reason="")
    await registry.deploy(SYSTEM, MODEL, "mix", 1, reason="")
    for plan in (None, PLAN):
        with pytest.raises(InvalidRequest) as refused:
            await registry.deploy(SYSTEM, MODEL, "mix", 2, reason="", plan=plan)
        assert refused.value.code == refusal
    with pytest.raises(Conflict) as never:
        await registry.roll_back(SYSTEM, MODEL, "mix", reason="", to=2)
    assert never.value.code == "never_live"
    head = await registry.head(MODEL, "mix")
    assert (head.live, head.candidate) == (1, None)
