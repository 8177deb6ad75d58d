"""The pages about documents and questions, and what the API tells them: who sees what, and whose forms are taken."""

import html
import re
from dataclasses import replace
from importlib import import_module
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from chains.conversations import Conversations
from chains.messages import Assistant, User
from chains.retrieval.retrieval import Retrieval
from chains.spec import ChainDeps
from core.principals import ROLE_SCOPES, SEARCHING, SYSTEM, Principal, Role, Scope
from core.tables import Document
from retrievers.documents import NewDocument
from tests.desks import Desk, desk, job_settings, models, note
from tests.server.serving import platform
from tests.server.test_documents_api import database, refused

__all__ = ["database", "desk", "job_settings", "models"]

PAGE = {"accept": "text/html"}
API = "/api/v1/rag/collections/papers"
READER = Principal("usr_reader", SYSTEM.tenant, "Reader", Role.USER, ROLE_SCOPES[Role.USER])
NEIGHBOUR = replace(SYSTEM, id="usr_neighbour", tenant="next-door")
TEXT = "# Pump\n\n😀 The pump moves 200 litres.\n\n# Bread\n\nIt is baked at 230 degrees."


def app_of(desk: Desk, principal: Principal) -> FastAPI:
    held: Any = {"models": desk.resources.models, "library": desk.library, "conversations": Conversations(desk.database)}
    retrieval = Retrieval(ChainDeps(settings=desk.settings, **held))
    app = platform(desk.settings, principal=principal, database=desk.database, queue=desk.queue, retrieval=retrieval, **held)
    for name in ("collections", "documents", "search", "documents_page", "ask_page", "front"):
        app.include_router(import_module(f"server.routes.{name}").router)
    return app


def browser(desk: Desk, principal: Principal = SYSTEM) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app_of(desk, principal))
    return httpx.AsyncClient(transport=transport, base_url="http://test", headers=PAGE)


@pytest.fixture
async def pump(desk: Desk) -> Document:
    """A document that is ready, in a collection that the role `user` may read; beside it one that failed."""
    async with browser(desk) as client:
        shares = [{"with": "role", "id": "user"}]
        await client.post("/api/v1/rag/collections", json={"name": "papers", "shares": shares})
    job, (document, _) = await desk.add(NewDocument("pump.md", TEXT.encode()), NewDocument("old <b>.pdf", b"%PDF-1.7"))
    with desk.worker():
        await desk.finished(job.id)
    return document


async def test_a_place_is_told_with_its_heading_and_what_stands_around_it(desk: Desk, pump: Document) -> None:
    address, quote = f"{API}/documents/{pump.id}/place", "The pump moves 200 litres."
    start = TEXT.index(quote)
    async with browser(desk, READER) as client:
        place = (await client.get(address, params={"start": start, "end": start + len(quote), "around": 4})).json()
        assert (place["before"], place["text"], place["after"]) == ("\n\n😀 ", quote, "\n\n# ")
        assert (place["document"], place["characters"], place["page"]) == ("pump.md", len(TEXT), None)
        assert place["heading"] == "Pump"
        beyond = (await client.get(address, params={"start": len(TEXT) - 3, "end": 10**6})).json()
        assert (beyond["text"], beyond["end"], beyond["after"]) == ("es.", len(TEXT), "")
        for wrong, code in (
            ({"start": 5, "end": 4}, 422),
            ({"start": len(TEXT) + 1, "end": 10**6}, 422),
            ({"around": 10**6}, 422),
        ):
            assert (await client.get(address, params=wrong)).status_code == code, wrong
        failed = (await desk.documents())["old <b>.pdf"]
        assert refused(await client.get(f"{API}/documents/{failed.id}/place")) == (404, "text_not_found")
    async with browser(desk, NEIGHBOUR) as client:
        assert refused(await client.get(address)) == (404, "collection_not_found")


async def test_a_search_tells_its_scores_and_where_the_words_stand(desk: Desk, pump: Document) -> None:
    async with browser(desk) as client:
        asked = {"query": "litres pumped", "highlight": True}
        found, *_ = (await client.post(f"{API}/search", json=asked)).json()["results"]
        assert [TEXT[one["start"] : one["end"]] for one in found["highlights"]] == ["Pump", "pump", "litres"]
        scores = found["scores"]
        assert scores["fused"] == found["score"]
        assert 0 < scores["dense"] < 1 < scores["lexical"] + 1
        assert scores["rerank"] is None
        for mode, left in (("dense", {"lexical", "fused", "rerank"}), ("lexical", {"dense", "fused", "rerank"})):
            found, *_ = (await client.post(f"{API}/search", json={"query": "litres", "mode": mode})).json()["results"]
            assert {name for name, score in found["scores"].items() if score is None} == left
            assert found["highlights"] is None


async def test_documents_are_filtered_by_a_part_of_their_name(desk: Desk) -> None:
    await desk.add(note("Report_1.md"), note("reports/2%.md"), note("other.md"))
    async with browser(desk) as client:
        for part, names in (("REPORT", {"Report_1.md", "reports/2%.md"}), ("_1", {"Report_1.md"}), ("%", {"reports/2%.md"})):
            listed = (await client.get(f"{API}/documents", params={"name_contains": part})).json()["results"]
            assert {one["name"] for one in listed} == names, part
        page = await client.get("/documents/papers", params={"name": "report", "state": "queued", "limit": 1})
        assert page.text.count("<tr id=") == 1
        following = html.unescape(re.findall(r'rel="next" href="([^"]+)"', page.text)[0])
        assert "reports/2%.md" in (await client.get(following)).text


async def test_whoever_may_only_read_sees_the_documents_and_nothing_that_changes_them(desk: Desk, pump: Document) -> None:
    async with browser(desk, READER) as client:
        listed = (await client.get("/documents")).text
        page = (await client.get("/documents/papers")).text
        source = (await client.get(f"/documents/papers/{pump.id}?start=2&end=6")).text
        assert 'href="/documents/papers"' in listed
        assert "old &lt;b&gt;.pdf" in page
        assert "corrupt_file" in page
        assert '<mark id="span" tabindex="-1">Pump</mark>' in source
        for shown in (listed, page, source):
            assert [word for word in ('method="post" action="/doc', "drop", "Delete", "Try again") if word in shown] == []
            assert "style=" not in shown
        for act in ("delete", "delete-document", "retry"):
            assert (await client.post("/documents/papers", data={"act": act, "of": pump.id})).status_code == 403, act
        assert (await client.post("/documents", data={"name": "mine"})).status_code == 403
    async with browser(desk, NEIGHBOUR) as client:
        assert "papers" not in (await client.get("/documents")).text
        assert "papers" not in (await client.get("/ask")).text
        for path in ("/documents/papers", f"/documents/papers/{pump.id}", "/ask?collection=papers"):
            answer = await client.get(path)
            assert (answer.status_code, "pump" in answer.text) == (404, False), path
        assert (await client.post("/documents/papers", data={"act": "delete"})).status_code == 404
    nobody = replace(READER, scopes=frozenset(Scope) - {*SEARCHING, Scope.RAG_WRITE, Scope.RAG_MANAGE})
    async with browser(desk, nobody) as client:
        refusal = await client.get("/documents")
        assert (refusal.status_code, "rag:read" in refusal.text, 'href="/ask"' in refusal.text) == (403, True, False)


async def test_who_asks_no_model_has_the_documents_and_no_way_to_ask_them(desk: Desk, pump: Document) -> None:
    links = ('href="/documents"', 'href="/ask')
    async with browser(desk, replace(READER, scopes=ROLE_SCOPES[Role.ANALYST])) as client:
        for path in ("/", "/documents", "/documents/papers"):
            page = await client.get(path)
            shown = page.text.partition("</header>")[0] if path == "/" else page.text
            assert (page.status_code, [link in shown for link in links]) == (200, [True, False]), path
        assert (await client.get("/ask")).status_code == 403
    async with browser(desk, READER) as client:
        for path in ("/", "/documents", "/documents/papers"):
            assert [link in (await client.get(path)).text for link in links] == [True, True], path
        assert (await client.get("/ask")).status_code == 200


async def test_forms_make_try_again_and_delete(desk: Desk, pump: Document) -> None:
    async with browser(desk) as client:
        unfit = await client.post("/documents", data={"name": "No good"})
        assert (unfit.status_code, 'value="No good"' in unfit.text, 'aria-invalid="true"' in unfit.text) == (422, True, True)
        assert (await client.post("/documents", data={"name": "made"})).headers["location"] == "/documents/made"
        assert (await client.post("/documents/made", data={"act": "delete"})).headers["location"] == "/documents?done=deleted"
        assert (await client.get("/documents/made")).status_code == 404
        failed = (await desk.documents())["old <b>.pdf"]
        sent = {"act": "retry", "of": failed.id, "state": "failed"}
        assert (await client.post("/documents/papers", data=sent)).headers[
            "location"
        ] == "/documents/papers?state=failed&done=retry"
        again = (await desk.documents())["old <b>.pdf"]
        assert (again.id, again.state, again.revision) == (failed.id, "queued", failed.revision + 1)
        await client.post("/documents/papers", data={"act": "delete-document", "of": failed.id})
        assert set(await desk.documents()) == {"pump.md"}
        for form in ({"act": "delete-document", "of": failed.id}, {"act": "retry", "of": "x"}):
            assert (await client.post("/documents/papers", data=form)).status_code == 404
        assert (await client.post("/documents/papers", data={"act": "?"})).status_code == 422


async def test_a_conversation_is_shown_again_to_whom_it_belongs(desk: Desk, pump: Document) -> None:
    kept = Conversations(desk.database)
    said = [User(content="How <much> does it move?"), Assistant(content="200 litres.")]
    await kept.append(READER, "ask-1", said, capability="rag", collection="papers")
    await kept.append(READER, "chat-1", [User(content="something else")])
    async with browser(desk, READER) as client:
        page = (await client.get("/ask")).text
        assert "/ask?session=ask-1&amp;collection=papers" in page
        assert "something else" not in page
        again = (await client.get("/ask?session=ask-1&collection=gone")).text
        assert "How &lt;much&gt; does it move?" in again
        assert "200 litres." in again
        assert 'data-session="ask-1"' in again
    async with browser(desk, SYSTEM) as client:
        assert "200 litres" not in (await client.get("/ask?session=ask-1")).text
    silent = replace(READER, scopes=READER.scopes - {Scope.CHAT_INVOKE})  # may not read sessions
    async with browser(desk, silent) as client:
        page = (await client.get("/ask?session=ask-1")).text
        assert ("200 litres" in page, "data-session" in page, "is not kept" in page) == (False, False, True)
