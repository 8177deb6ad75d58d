"""The pages of experiments: a draft by its form, started, looked at, ended; intervals as they are drawn; and who may."""

import pytest

from core.database import Database
from core.principals import Role
from core.settings import Settings
from providers.registry.seeding import seed
from server.routes import experiments, experiments_page, registry
from server.routes.experiments import ComparisonInfo, FixedInfo, MetricInfo
from server.routes.experiments_page import intervals
from tests.server.administration import api, get, key_of, problem, send, sign_in, with_pages
from tests.server.conftest import ON_SQLITE, Guarded

PAGE = "/experiments/calmer"
FORM = {"name": "calmer", "alias": "default", "variants": "control\ncalm = 2 * 3", "primary": "cost_usd", "coverage": "50 %"}


@pytest.fixture
async def here(guarded: Guarded, settings: Settings, database: Database) -> Guarded:
    for module in (registry, experiments, experiments_page):
        guarded.app.include_router(module.router)
    with_pages(guarded, settings)
    await seed(database, settings.aliases)
    await guarded.app.state.platform.models.versions.load(database)
    deployment = {"provider": "local", "model": "bundled"}
    body = {"deployments": [deployment], "parameters": {"temperature": 0.1}}
    assert (await api(guarded, "POST", "/models/registry/default/versions", body)).status_code == 201
    await sign_in(guarded)
    return guarded


@ON_SQLITE
async def test_an_experiment_is_made_started_concluded_and_deleted(here: Guarded) -> None:
    assert "No experiment yet" in (await get(here, "/experiments")).text
    made = await send(here, "/experiments", **FORM)
    assert (made.status_code, made.headers["location"]) == (303, f"{PAGE}?done=made")
    kept = (await api(here, "GET", "/experiments/calmer")).json()["definition"]
    assert [(one["name"], one["version"], one["weight"]) for one in kept["variants"]] == [("control", None, 1), ("calm", 2, 3)]
    assert (kept["primary"], kept["coverage"], kept["metrics"]) == ("cost_usd", 0.5, ["latency_ms", "error"])
    assert "Start it" in (await get(here, PAGE)).text
    assert (await send(here, PAGE, act="start")).status_code == 303
    running = (await get(here, PAGE)).text
    assert "inconclusive" in running
    assert "Start it" not in running
    assert problem(await send(here, PAGE, act="conclude", winner="nobody")) == "There is no variant of that name."
    assert (await send(here, PAGE, act="conclude", winner="calm", promote="yes")).status_code == 303
    assert (await api(here, "GET", "/models/registry/default")).json()["live"] == 2
    assert "version 2 is deployed" in (await get(here, PAGE)).text
    assert (await send(here, PAGE, act="delete")).headers["location"] == "/experiments?done=deleted"


@ON_SQLITE
async def test_what_cannot_be_is_said_and_who_only_reads_changes_nothing(here: Guarded) -> None:
    for wrong in ({"variants": "control"}, {"coverage": "much"}, {"name": "Not so"}, {"variants": "control\nother"}):
        page = await send(here, "/experiments", **(FORM | wrong))
        assert page.status_code == 422
        assert problem(page)
    await sign_in(here, await key_of(here, Role.ANALYST))
    assert "Make an experiment" not in (await get(here, "/experiments")).text
    assert (await send(here, "/experiments", **FORM)).status_code == 403
    assert (await send(here, PAGE, act="start")).status_code == 403
    assert (await get(here, "/experiments/nothing")).status_code == 404


def test_intervals_are_drawn_as_shares_of_the_control_and_only_where_they_are_known() -> None:
    def metric(mean: float, low: float | None) -> MetricInfo:
        told = {"verdict": "better", "difference": -5.0, "low": low, "high": -1.0, "p": 0.01}
        told |= {"relative": None, "needed": None, "why": None}
        fixed = FixedInfo.model_validate(told | {"p_corrected": None})
        one = ComparisonInfo.model_validate(told | {"variant": "new", "harmed": False, "fixed": fixed})
        means = {"control": mean, "new": mean - 5}
        whole = {"metric": "latency_ms", "higher_is_better": False, "means": means, "measured": {}, "noise_explained": 0.0}
        return MetricInfo.model_validate(whole | {"comparisons": [one]})

    known, unknown, of_nothing = intervals([metric(50, -9), metric(50, None), metric(0, -9)]).intervals
    assert (known.name, known.low, known.point, known.high) == ("latency: new", -0.18, -0.1, -0.02)
    for one in (unknown, of_nothing):
        assert (one.low, one.point, one.high) == (None, None, None)
