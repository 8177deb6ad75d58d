"""The handbook: the platform's documentation as a collection."""

from pathlib import Path

from sqlmodel import select, update

from core.principals import SYSTEM
from core.tables import DocumentState, IndexGeneration
from jobs.handbook import NAME, keep_handbook
from tests.desks import Desk, eventually, note


async def test_documentation_is_brought_in_kept_up_and_taken_out(desk: Desk, tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "docs" / "adr").mkdir(parents=True)
    (root / "docs" / "how").mkdir()
    (root / "README.md").write_text("# Platform\n\nStart it with make run.")
    (root / "docs" / "old.md").write_text("# Old\n\nGone tomorrow.")
    (root / "docs" / "how" / "broker.md").write_text("# The broker\n\nWe chose Valkey.")
    (root / "docs" / "adr" / "0001.md").write_text("# Decision\n\nWhy it was chosen.")
    (root / "docs" / "empty.md").write_text("\n")
    (root / "docs" / "picture.png").write_bytes(b"png")

    async def all_ready() -> bool:
        return {row.state for row in (await desk.documents(NAME)).values()} == {DocumentState.READY}

    with desk.worker():
        await keep_handbook(desk.library, root)
        await eventually(all_ready)
        first = await desk.documents(NAME)
        assert list(first) == ["README.md", "docs/how/broker.md", "docs/old.md"]
        assert (await desk.found("Which broker was chosen?", NAME))[0] == "docs/how/broker.md"

        await desk.finished((await desk.add(note("ours.md"), collection=NAME))[0].id)
        (root / "README.md").write_text("# Platform\n\nStart it with make run, or genai serve.")
        (root / "docs" / "old.md").unlink()
        await keep_handbook(desk.library, root)
        await eventually(all_ready)
    second = await desk.documents(NAME)
    assert list(second) == ["README.md", "docs/how/broker.md", "ours.md"]
    assert second["README.md"].revision == 2
    unchanged = {"id", "revision", "indexed_revision", "content_hash", "attempts", "job_id"}
    kept, before = second["docs/how/broker.md"], first["docs/how/broker.md"]
    assert kept.model_dump(include=unchanged) == before.model_dump(include=unchanged)


async def test_the_handbook_moves_to_a_new_embedding_model_by_itself(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Platform\n\nStart it with make run.")
    await keep_handbook(desk.library, tmp_path)
    async with desk.database.transaction(all_tenants=True) as session:
        await session.exec(update(IndexGeneration).values(model="openai/former"))
    before = await desk.documents(NAME)
    for _ in range(2):
        await keep_handbook(desk.library, tmp_path)
        async with desk.database.session(all_tenants=True) as session:
            rows = (await session.exec(select(IndexGeneration.state, IndexGeneration.model))).all()
        assert sorted(rows) == [("active", "openai/former"), ("filling", "local/all-MiniLM-L6-v2")]
    assert await desk.documents(NAME) == before


async def test_where_no_documentation_is_installed_nothing_happens(desk: Desk, tmp_path: Path) -> None:
    await keep_handbook(desk.library, tmp_path)
    assert (await desk.library.collections.page(SYSTEM, limit=10))[0] == []


async def test_the_projects_own_documentation_is_found() -> None:
    from jobs.handbook import _ROOT, _read

    assert "README.md" in _read(_ROOT)
