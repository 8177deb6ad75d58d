"""Questions are counted, and nothing of them is kept."""

import numpy as np
from sqlmodel import select

from core.database import Database
from core.tables import MonitorSketch
from retrievers.sketches import DIRECTIONS, Sketches


def vector(seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal(384).astype(np.float32)
    return drawn / np.linalg.norm(drawn)


async def test_what_several_processes_count_is_added_up(database: Database) -> None:
    one, other = Sketches(), Sketches()
    for sketches in (one, other, one):
        for seed in range(20):
            sketches.note("acme", "col_1", "minilm", vector(seed), 0.61)
        assert await sketches.write(database) == 1
        assert await sketches.write(database) == 0
    async with database.session("acme") as session:
        (row,) = (await session.exec(select(MonitorSketch))).all()
    assert (row.questions, sum(row.topics), row.nearness[12]) == (60, 60, 60)
    assert len([each for each in row.topics if each]) > DIRECTIONS / 4


async def test_of_tenants_of_whose_requests_nothing_is_kept_nothing_is_counted(database: Database) -> None:
    sketches = Sketches(lambda tenant: tenant != "secret")
    sketches.note("secret", "col_1", "minilm", vector(1), 0.5)
    assert await sketches.write(database) == 0


async def test_what_could_not_be_written_is_written_later(database: Database) -> None:
    sketches = Sketches()
    sketches.note("acme", "col_1", "minilm", vector(1), None)
    taken = sketches.taken()
    sketches.note("acme", "col_1", "minilm", vector(1), None)
    sketches.put_back(taken)
    await sketches.write(database)
    async with database.session("acme") as session:
        (row,) = (await session.exec(select(MonitorSketch))).all()
    assert (row.questions, row.nearness[0]) == (2, 2)
