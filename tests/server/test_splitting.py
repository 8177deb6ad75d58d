"""How a collection's documents are split, by REST: set, changed, and brought to what is there."""

from typing import Any

import httpx
import pytest

from tests.server.test_documents_api import PAPERS, client, database, desk, job_settings, models, refused  # noqa: F401 - fixtures

TEXT = "\n\n".join(f"# Part {part}\n\n" + f"The beacon of part {part} is lit at dusk. " * 12 for part in range(4))


async def passages(client: httpx.AsyncClient) -> list[dict[str, Any]]:  # noqa: F811
    found = await client.post(f"{PAPERS}/search", json={"query": "beacon", "limit": 100, "mode": "lexical"})
    return sorted(found.json()["results"], key=lambda one: one["start"])


async def add(desk: Any, client: httpx.AsyncClient, text: str) -> None:  # noqa: F811
    body = {"documents": [{"name": "beacons.md", "text": text}]}
    accepted = (await client.post(f"{PAPERS}/documents", json=body)).json()
    with desk.worker():
        await desk.finished(accepted["job_id"])


async def test_documents_are_split_as_their_collection_has_it_and_read_again_once_that_changed(
    desk: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
) -> None:
    shown = (await client.get(PAPERS)).json()
    assert shown["splitting"] == {"tokens": None, "overlap": None, "by": "structure"}
    await add(desk, client, TEXT)
    before = await passages(client)
    changed = await client.patch(PAPERS, json={"splitting": {"tokens": 40, "overlap": 0}})
    assert changed.json()["splitting"] == {"tokens": 40, "overlap": 0, "by": "structure"}
    assert await passages(client) == before, "nothing is read again by itself"
    refresh = await client.post(f"{PAPERS}/refresh")
    assert (refresh.status_code, refresh.json()["documents"]) == (202, 1)
    with desk.worker():
        await desk.finished(refresh.json()["job_id"])
    after = await passages(client)
    assert len(after) > len(before)
    assert all(TEXT[one["start"] : one["end"]] == one["text"] for one in after)
    again = (await client.post(f"{PAPERS}/refresh")).json()
    assert again["documents"] == 0
    assert (await client.get(f"/api/v1/jobs/{again['job_id']}")).json()["state"] == "succeeded"
    unchanged = {"documents": [{"name": "beacons.md", "text": TEXT}]}
    job = (await client.post(f"{PAPERS}/documents", json=unchanged)).json()["job_id"]
    assert (await client.get(f"/api/v1/jobs/{job}")).json()["skipped"] == 1


async def test_sections_are_put_together_where_size_alone_counts(
    desk: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
) -> None:
    short = "\n\n".join(f"# Part {part}\n\n" + f"The beacon of part {part} is lit at dusk. " * 4 for part in range(3))
    await client.patch(PAPERS, json={"splitting": {"by": "size"}})
    await add(desk, client, short)
    (whole,) = await passages(client)
    assert whole["text"] == short.strip()


@pytest.mark.parametrize(
    ("splitting", "code"),
    [
        ({"tokens": 31}, "invalid_request"),
        ({"tokens": 40, "overlap": 40}, "invalid_request"),
        ({"by": "moon"}, "invalid_request"),
        ({"words": 3}, "invalid_request"),
        ({"tokens": 257}, "passage_too_long"),
    ],
    ids=["small", "overlap", "kind", "field", "window"],
)
async def test_what_is_no_way_to_split_is_refused(
    client: httpx.AsyncClient,  # noqa: F811
    splitting: dict[str, Any],
    code: str,
) -> None:
    assert refused(await client.patch(PAPERS, json={"splitting": splitting})) == (422, code)
    assert refused(await client.post("/api/v1/rag/collections", json={"name": "other", "splitting": splitting})) == (422, code)
