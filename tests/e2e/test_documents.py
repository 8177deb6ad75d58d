"""Documents of every kind, from the upload to a citation that can be checked against the stored text."""

import uuid
from typing import Any

import httpx
import pytest

from infra import samples
from infra.running import Running
from tests.retrievers import making


def new_collection(client: httpx.Client) -> str:
    name = f"c-{uuid.uuid4().hex[:12]}"
    assert client.post("/api/v1/rag/collections", json={"name": name}).status_code == 201
    return name


@pytest.fixture
def collection(client: httpx.Client) -> str:
    return new_collection(client)


@pytest.fixture(scope="module")
def library(platform: Running) -> str:
    """A collection that holds one file of each kind."""
    with platform.client() as client:
        name = new_collection(client)
        job = platform.ingest(client, name, samples.one_of_each(), create=False)
    assert (job["state"], job["errors"]) == ("succeeded", [])
    return name


def search(client: httpx.Client, collection: str, query: str, **options: object) -> list[dict[str, Any]]:
    answer = client.post(f"/api/v1/rag/collections/{collection}/search", json={"query": query, **options})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


@pytest.mark.parametrize(
    ("query", "document"),
    [
        ("maximum depth of the probe", "probe.txt"),
        ("captain of the Halcyon", "crew.md"),
        ("crane lifting capacity at the quay", "harbour.html"),
        ("cost of surveying the northern trench", "budget.pdf"),
        ("where do passengers muster", "safety.docx"),
        ("dive at Storegga", "dives.csv"),
        ("winch cable length", "settings.json"),
        ("release ballast", "ballast.py"),
    ],
)
def test_a_fact_is_found_in_a_file_of_every_kind(client: httpx.Client, library: str, query: str, document: str) -> None:
    assert search(client, library, query, limit=3)[0]["document"] == document


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_every_mode_of_search_gives_passages_that_are_the_stored_text(client: httpx.Client, library: str, mode: str) -> None:
    results = search(client, library, "seals replaced months", mode=mode, limit=5)
    assert results
    for found in results:
        text = client.get(f"/api/v1/rag/collections/{library}/documents/{found['document_id']}/text").text
        assert text[found["start"] : found["end"]] == found["text"]


@pytest.mark.parametrize(("question", "words"), samples.FACTS)
def test_a_question_is_answered_with_citations_that_equal_the_stored_text(
    client: httpx.Client, library: str, question: str, words: str
) -> None:
    answer = client.post("/api/v1/rag", json={"question": question, "collection": library}).json()
    assert answer["answered"] is True
    assert words.lower() in answer["output"].lower()
    assert answer["citations"]
    for citation in answer["citations"]:
        text = client.get(f"/api/v1/rag/collections/{library}/documents/{citation['document_id']}/text").text
        assert text[citation["start"] : citation["end"]] == citation["quote"]
    assert any(words in citation["quote"] for citation in answer["citations"])


def test_a_question_about_a_pdf_names_its_page(client: httpx.Client, library: str) -> None:
    question = "What did the survey of the northern trench cost?"
    answer = client.post("/api/v1/rag", json={"question": question, "collection": library}).json()
    assert ("budget.pdf", 2) in {(citation["document"], citation["page"]) for citation in answer["citations"]}


@pytest.fixture(scope="module")
def office(platform: Running) -> str:
    """A collection of what an office has, an archive among it."""
    offer = making.docx(["The dredger costs 8,400 euros a day."])
    fog = "# Fog\n\nIn fog the horn sounds every two minutes."
    fees = [["Vessel class", "Nightly fee in euros"], ["Catamaran", 48], ["Trawler", 95]]
    files = {
        "deck.pptx": making.pptx([("Welcome", ["Good morning."], ""), ("Pilots", ["Ships above 70 metres take a pilot."], "")]),
        "fees.xlsx": making.xlsx({"Intro": [["Tariff 2026"]], "Mooring": fees}),
        "voyage.epub": making.epub({"The reef": "<p>The schooner Aurelia struck the reef of Tromelin.</p>"}),
        "note.eml": making.mail("See the offer.", attached={"offer.docx": offer}),
        "all.zip": making.zipped({"guides/fog.md": fog, "noise.bin": b"\0\1" * 99}),
    }
    with platform.client() as client:
        name = new_collection(client)
        job = platform.ingest(client, name, files, create=False)
    assert [(error["document"], error["code"]) for error in job["errors"]] == [("all.zip/noise.bin", "unsupported_file_type")]
    return name


@pytest.mark.parametrize(
    ("question", "words", "document", "page"),
    [
        ("Which ships take a pilot?", "70 metres", "deck.pptx", 2),
        ("What is the nightly fee in euros of a trawler?", "95", "fees.xlsx", 2),
        ("Which reef did the schooner Aurelia strike?", "Tromelin", "voyage.epub", None),
        ("What does the dredger cost a day?", "8,400 euros", "note.eml", 2),
        ("How often does the horn sound in fog?", "every two minutes", "all.zip/guides/fog.md", None),
    ],
)
def test_a_fact_in_a_slide_a_sheet_a_book_a_mail_and_an_archive_is_found_and_cited(
    client: httpx.Client, office: str, question: str, words: str, document: str, page: int | None
) -> None:
    found = search(client, office, question, limit=1)[0]
    assert (found["document"], found["page"]) == (document, page)
    assert words in found["text"]
    answer = client.post("/api/v1/rag", json={"question": question, "collection": office}).json()
    cited = {(citation["document"], citation["page"]) for citation in answer["citations"] if words in citation["quote"]}
    assert cited == {(document, page)}


def test_what_the_collection_does_not_hold_is_not_answered(client: httpx.Client, library: str) -> None:
    body = {"question": samples.OFF_TOPIC_QUESTION, "collection": library}
    answer = client.post("/api/v1/rag", json=body).json()
    assert (answer["answered"], answer["citations"]) == (False, [])


def test_the_same_file_again_is_skipped_and_a_changed_one_replaces_it(
    platform: Running, client: httpx.Client, collection: str
) -> None:
    platform.ingest(client, collection, {"note.md": b"The lighthouse keeper is called Marit."}, create=False)
    before = client.get(f"/api/v1/rag/collections/{collection}/documents").json()["results"][0]
    platform.ingest(client, collection, {"note.md": b"The lighthouse keeper is called Marit."}, create=False)
    same = client.get(f"/api/v1/rag/collections/{collection}/documents").json()["results"][0]
    assert (same["id"], same["updated_at"]) == (before["id"], before["updated_at"])

    platform.ingest(client, collection, {"note.md": b"The lighthouse keeper is called Jorunn."}, create=False)
    texts = [str(found["text"]) for found in search(client, collection, "lighthouse keeper")]
    assert len(texts) == 1
    assert "Jorunn" in texts[0]


def test_a_deleted_document_is_gone_from_every_kind_of_search(platform: Running, client: httpx.Client, collection: str) -> None:
    platform.ingest(
        client, collection, {"a.txt": b"Puffins nest on the cliff.", "b.txt": b"Seals rest on the beach."}, create=False
    )
    documents = client.get(f"/api/v1/rag/collections/{collection}/documents").json()["results"]
    gone = next(document for document in documents if document["name"] == "a.txt")
    path = f"/api/v1/rag/collections/{collection}/documents/{gone['id']}"
    assert client.delete(path).status_code in {200, 204}
    assert client.get(path).status_code == 404
    for mode in ("dense", "lexical", "hybrid"):
        assert {found["document"] for found in search(client, collection, "puffins nest", mode=mode)} <= {"b.txt"}


def test_a_failed_document_says_why_and_the_others_of_its_batch_go_on(
    platform: Running, client: httpx.Client, collection: str
) -> None:
    files = {
        "good.txt": b"The harbour master speaks Norwegian.",
        "empty.txt": b"",
        "cut.pdf": samples.pdf(["a page"])[:300],
        "noise.bin": bytes(range(256)) * 8,
    }
    job = platform.ingest(client, collection, files, create=False)
    codes = {error["document"]: error["code"] for error in job["errors"]}
    assert codes == {"empty.txt": "empty_file", "cut.pdf": "corrupt_file", "noise.bin": "unsupported_file_type"}
    assert (job["state"], job["progress"]) == ("succeeded", {"done": 4, "total": 4})
    assert search(client, collection, "harbour master")[0]["document"] == "good.txt"


def test_the_events_of_a_job_are_numbered_and_resume_after_the_last_one_seen(
    platform: Running, client: httpx.Client, collection: str
) -> None:
    job = platform.ingest(client, collection, samples.many(5, words=20), create=False)
    lines = client.get(f"/api/v1/jobs/{job['id']}/events").text.splitlines()
    numbers = [int(line.removeprefix("id:")) for line in lines if line.startswith("id:")]
    assert numbers == sorted(set(numbers))
    rest = client.get(f"/api/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": str(numbers[-2])}).text.splitlines()
    assert [int(line.removeprefix("id:")) for line in rest if line.startswith("id:")] == numbers[-1:]


@pytest.mark.one_database
def test_the_handbook_answers_a_question_about_the_platform_itself(platform: Running, client: httpx.Client) -> None:
    from infra.running import wait_until

    def filled() -> bool:
        answer = client.get("/api/v1/rag/collections/handbook/documents", params={"limit": 200})
        states = [document["state"] for document in answer.json().get("results", [])]
        return len(states) > 10 and set(states) == {"ready"}

    wait_until(filled, within_s=120, what="the handbook")
    answer = client.post("/api/v1/rag", json={"question": "Which setting chooses the port?", "collection": "handbook"}).json()
    assert answer["answered"] is True
    assert "GENAI_PORT" in answer["output"] + str(answer["citations"])
