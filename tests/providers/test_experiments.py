"""Which version an experiment gives a request: the same each time, to those alone that it is for."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from core.context import RequestContext
from core.database import Database, utc_now
from core.principals import SYSTEM, Principal, Role
from core.tables import Experiment
from providers.experiment_definition import Definition
from providers.experiments import Experiments

USER = Principal("usr_1", "acme", "Ada", Role.USER, frozenset(), teams=frozenset({"team_a"}))
VARIANTS = [{"name": "control", "version": 1}, {"name": "new", "version": 2}]


def by(user: str | Principal = USER, **more: Any) -> RequestContext:
    principal = replace(USER, id=user) if isinstance(user, str) else user
    return RequestContext(request_id="req_1", principal=principal, **more)


def experiment(name: str = "one", *, tenant: str = "acme", alias: str = "default", **more: Any) -> Experiment:
    given = {key: more.pop(key) for key in ("everywhere", "state") if key in more}
    definition = Definition.model_validate({"variants": VARIANTS} | more).told()
    row = {"state": "running", "started_at": utc_now(), "created_by": "x", "definition": definition}
    return Experiment(tenant=tenant, name=name, alias=alias, **(row | given))


async def running(database: Database, *rows: Experiment) -> Experiments:
    async with database.transaction(all_tenants=True) as session:
        session.add_all(rows)
    experiments = Experiments()
    await experiments.load(database)
    return experiments


def versions(experiments: Experiments, requests: Iterable[RequestContext]) -> list[int | None]:
    return [experiments.version_of("default", request) for request in requests]


async def test_a_unit_has_the_same_version_each_time_and_in_each_process(database: Database) -> None:
    here, users = await running(database, experiment()), [f"usr_{number}" for number in range(400)]
    elsewhere = Experiments()
    await elsewhere.load(database)
    given = versions(here, map(by, users))
    assert versions(elsewhere, map(by, users)) == given
    assert 160 < Counter(given)[1] < 240
    assert set(given) == {1, 2}


async def test_the_exposure_is_noted_for_all_contexts_of_the_request_and_names_nobody(database: Database) -> None:
    row = experiment()
    experiments, request = await running(database, row), by()
    beside = request.beside()
    version = experiments.version_of("default", beside)
    experiment_id, variant, unit = request.exposures["default"].split("/")
    assert (experiment_id, int(variant) + 1) == (row.id, version)
    assert len(unit) == 32
    assert "usr_1" not in unit
    assert experiments.version_of("other", request) is None
    assert set(request.exposures) == {"default"}


async def test_one_that_does_not_run_gives_nothing(database: Database) -> None:
    experiments = await running(database, experiment(state="draft"), experiment("two", state="stopped"))
    assert experiments.version_of("default", by()) is None


async def test_a_request_without_the_attribute_is_not_in(database: Database) -> None:
    experiments = await running(
        database, experiment(unit="session"), experiment("two", alias="tagged", unit="tag:customer", variants=VARIANTS)
    )
    assert experiments.version_of("default", by()) is None
    assert experiments.version_of("default", by(session_id="s1")) in (1, 2)
    assert experiments.version_of("tagged", by(tags={"other": "x"})) is None
    assert experiments.version_of("tagged", by(tags={"customer": "x"})) in (1, 2)
    assert experiments.version_of("default", by(SYSTEM, session_id="s1")) is None, "the platform's own work"


async def test_sessions_of_the_same_name_are_two_units_in_two_tenants(database: Database) -> None:
    experiments = await running(database, experiment(unit="session", everywhere=True))
    one, other = by(session_id="s1"), by(replace(USER, tenant="globex"), session_id="s1")
    versions(experiments, [one, other])
    assert one.exposures["default"] != other.exposures["default"]


@pytest.mark.parametrize(
    ("targeting", "is_in"),
    [
        ({"teams": ["team_a", "team_b"]}, True),
        ({"teams": ["team_b"]}, False),
        ({"roles": ["user"]}, True),
        ({"roles": ["admin"]}, False),
        ({"capabilities": ["code"]}, True),
        ({"capabilities": ["chat", "code/review"]}, False),
        ({"tags": {"feature": ["search", "summary"]}}, True),
        ({"tags": {"feature": ["search"], "region": ["eu"]}}, False),
    ],
)
async def test_it_is_for_those_it_is_aimed_at(database: Database, targeting: dict[str, Any], is_in: bool) -> None:
    experiments = await running(database, experiment(targeting=targeting))
    request = by(capability="code/fix", tags={"feature": "summary"})
    assert (experiments.version_of("default", request) is not None) is is_in


async def test_another_tenants_requests_are_in_one_of_all_tenants_alone(database: Database) -> None:
    other = by(replace(USER, tenant="globex"))
    assert (await running(database, experiment())).version_of("default", other) is None
    both = await running(database, experiment("all", tenant="default", everywhere=True, targeting={"tenants": ["globex"]}))
    assert both.version_of("default", other) in (1, 2)


async def test_coverage_leaves_the_others_out(database: Database) -> None:
    experiments = await running(database, experiment(coverage=0.2))
    given = Counter(versions(experiments, (by(f"usr_{number}") for number in range(2000))))
    assert 1500 < given[None] < 1700


async def test_stretches_of_a_group_that_lie_apart_share_nobody_and_a_holdout_is_in_none(database: Database) -> None:
    group = {"group": "checkout", "begin": 0.0, "end": 0.5}
    held = {"group": "winter", "share": 0.2}
    await running(
        database,
        experiment(exclusion=group, holdout=held),
        experiment("two", alias="other", exclusion=group | {"begin": 0.5, "end": 1.0}, holdout=held),
    )
    experiments, both = Experiments(), Counter[tuple[bool, bool]]()
    await experiments.load(database)
    for number in range(2000):
        request = by(f"usr_{number}")
        both[experiments.version_of("default", request) is None, experiments.version_of("other", request) is None] += 1
    assert both[False, False] == 0
    assert 300 < both[True, True] < 500
    assert both[True, False] > 600
    assert both[False, True] > 600


async def test_of_two_on_one_alias_the_one_that_began_first_has_the_request(database: Database) -> None:
    first, second = experiment(coverage=0.5), experiment("two")
    experiments = await running(database, first, second)
    counted = Counter[str]()
    for number in range(400):
        request = by(f"usr_{number}")
        experiments.version_of("default", request)
        counted[request.exposures["default"].split("/")[0]] += 1
    assert set(counted) == {first.id, second.id}
    assert 150 < counted[first.id] < 250


@pytest.mark.parametrize(
    "wrong",
    [
        {"variants": VARIANTS[:1]},
        {"variants": [VARIANTS[0], VARIANTS[0]]},
        {"variants": [VARIANTS[0], {"name": "new"}]},
        {"unit": "tag:"},
        {"primary": "happiness"},
        {"exclusion": {"group": "g", "begin": 0.5, "end": 0.5}},
        {"coverage": 0},
        {"alpha": 0.5},
    ],
    ids=["one", "same name", "no version", "no tag", "no metric", "empty stretch", "nobody", "alpha"],
)
def test_what_could_not_be_run_is_no_definition(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Definition.model_validate({"variants": VARIANTS} | wrong)
