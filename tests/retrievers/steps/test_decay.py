from datetime import UTC, datetime, timedelta

import pytest

from core.database import Database, utc_now
from core.tables import Collection, Document
from retrievers.steps.decay import TimeDecayStep, moment_of
from retrievers.steps.settings import TimeDecay
from tests.retrievers.steps.making import SHELF, names, passage, retrieved


def day(ago: float) -> str:
    return (utc_now() - timedelta(days=ago)).isoformat()


async def test_of_equal_passages_the_newer_comes_first(database: Database):
    step = TimeDecayStep(TimeDecay(half_life_days=10, attribute="date", weight=0.5), database)
    old, new = passage("old", 0.8, date=day(100)), passage("new", 0.7, date=day(0))
    found = await step.ainvoke(retrieved(old, new))
    assert names(found.passages) == ["new", "old"]
    assert found.passages[0].score == pytest.approx(0.7, abs=0.01)
    assert found.passages[1].score == pytest.approx(0.8 * (0.5 + 0.5 * 0.5**10), abs=0.01)


async def test_after_the_half_life_half_of_the_weight_is_left(database: Database):
    step = TimeDecayStep(TimeDecay(half_life_days=30, attribute="date", weight=0.4), database)
    found = await step.ainvoke(retrieved(passage("a", 1.0, date=day(30))))
    assert found.passages[0].score == pytest.approx(0.8, abs=0.001)


async def test_without_an_attribute_it_goes_by_when_the_document_came_in(database: Database):
    async with database.transaction(all_tenants=True) as session:
        session.add(Collection(id=SHELF.collection_id, tenant=SHELF.tenant, name="steps"))
        await session.flush()
        for name, ago in (("old", 1000), ("new", 0)):
            session.add(
                Document(
                    id=f"doc_{name}",
                    tenant=SHELF.tenant,
                    collection_id=SHELF.collection_id,
                    name=name,
                    content_hash="",
                    content_at=utc_now() - timedelta(days=ago),
                )
            )
    step = TimeDecayStep(TimeDecay(half_life_days=10, weight=0.5), database)
    # one without a row and one with an unreadable date: as new, and by its row
    found = await step.ainvoke(retrieved(passage("old", 0.9), passage("new", 0.7), passage("gone", 0.6)))
    assert names(found.passages) == ["new", "gone", "old"]
    by_attribute = TimeDecayStep(TimeDecay(half_life_days=10, weight=0.5, attribute="date"), database)
    assert names((await by_attribute.ainvoke(retrieved(passage("old", 0.9, date="soon"), passage("new", 0.7)))).passages) == [
        "new",
        "old",
    ]


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2024-02-03", datetime(2024, 2, 3, tzinfo=UTC)),
        ("2024-02-03T10:00:00+02:00", datetime(2024, 2, 3, 8, tzinfo=UTC)),
        (2024, datetime(2024, 1, 1, tzinfo=UTC)),
        (" 2024 ", datetime(2024, 1, 1, tzinfo=UTC)),
        ("yesterday", None),
        ("0000", None),
        (True, None),
        (None, None),
    ],
)
def test_an_attribute_names_a_moment_or_none(value: object, moment: datetime | None):
    assert moment_of(value) == moment
