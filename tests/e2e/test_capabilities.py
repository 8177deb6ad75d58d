"""Each capability over plain REST, answered by the real local model: whole, streamed, and refused."""

import base64
import uuid
from typing import Any

import httpx
import pytest

from infra import samples
from infra.events import events
from infra.running import Running

FUNCTION = "def add(a, b):\n    return a - b\n"
BODIES: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "Say hello in one short sentence."}], "max_tokens": 24},
    "completion": {"prompt": "The capital of France is", "max_tokens": 12},
    "code/generate": {"instruction": "A Python function that adds two numbers.", "language": "python"},
    "code/explain": {"code": FUNCTION, "language": "python"},
    "code/review": {"code": FUNCTION, "language": "python"},
    "code/fix": {"code": FUNCTION, "language": "python", "instruction": "It should add."},
    "code/tests": {"code": FUNCTION, "language": "python"},
    "code/translate": {"code": FUNCTION, "language": "python", "target_language": "javascript"},
    "rag": {"question": "Which setting chooses the port?", "collection": "handbook"},
    "multimodal": {
        "text": "What is written on the sign?",
        "images": [base64.b64encode(samples.picture("QUAY NINE")).decode()],
    },
}


#: What reaches the database; the others are no different on PostgreSQL.
ON_EVERY_DATABASE = ("chat", "rag")
EACH = [name if name in ON_EVERY_DATABASE else pytest.param(name, marks=pytest.mark.one_database) for name in BODIES]


@pytest.mark.parametrize("capability", EACH)
def test_an_answer_is_flat_and_says_who_gave_it_and_what_it_took(client: httpx.Client, capability: str) -> None:
    response = client.post(f"/api/v1/{capability}", json=BODIES[capability])
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["output"]
    assert answer["request_id"] == response.headers["x-request-id"]
    assert {"model", "provider", "usage", "cost_usd"} <= set(answer)
    if answer["provider"] is not None:  # an answer that quotes alone needs no model
        assert answer["provider"] == "local"
        assert answer["usage"]["total_tokens"] == answer["usage"]["input_tokens"] + answer["usage"]["output_tokens"] > 0
        assert response.headers["x-genai-provider"] == "local"
        assert answer["cost_usd"] == 0


def test_a_picture_is_uploaded_as_a_file(client: httpx.Client) -> None:
    files = {"images": ("sign.png", samples.picture("QUAY NINE"), "image/png")}
    answer = client.post("/api/v1/multimodal", data={"text": "What is written on the sign?"}, files=files)
    assert answer.status_code == 200, answer.text
    assert "QUAY NINE" in answer.json()["read"][0]["text"].upper()


@pytest.mark.parametrize("capability", EACH)
def test_a_stream_brings_the_text_in_pieces_then_usage_then_done(client: httpx.Client, capability: str) -> None:
    with client.stream("POST", f"/api/v1/{capability}", json={**BODIES[capability], "stream": True}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        seen = list(events(response))
    names = [name for name, _ in seen]
    assert names[-1] == "done"
    assert "error" not in names
    assert "token" in names
    assert names.index("usage") > max(index for index, name in enumerate(names) if name == "token")
    if capability == "rag":
        assert dict(seen)["citations"]


def test_the_picture_is_read_by_ocr_for_a_model_that_does_not_see(client: httpx.Client) -> None:
    answer = client.post("/api/v1/multimodal", json=BODIES["multimodal"]).json()
    assert answer["vision"] == "ocr"


def test_code_that_parses_says_so_and_code_that_does_not_says_that(client: httpx.Client) -> None:
    answer = client.post("/api/v1/code/generate", json=BODIES["code/generate"]).json()["output"]
    assert answer["language"].lower() == "python"
    try:
        compile(answer["code"], "generated", "exec")
        parses = True
    except SyntaxError:
        parses = False
    assert answer["valid"] is parses


def test_a_session_keeps_the_conversation_until_it_is_deleted(client: httpx.Client) -> None:
    session = f"s-{uuid.uuid4().hex}"
    said = {"messages": [{"role": "user", "content": "My name is Brunhilde."}], "session_id": session, "max_tokens": 16}
    assert client.post("/api/v1/chat", json=said).status_code == 200
    kept = client.get(f"/api/v1/sessions/{session}").json()
    assert "Brunhilde" in str(kept["messages"])
    assert len(kept["messages"]) == 2
    assert session in str(client.get("/api/v1/sessions", params={"limit": 200}).json())
    assert client.delete(f"/api/v1/sessions/{session}").status_code in {200, 204}
    assert client.get(f"/api/v1/sessions/{session}").status_code == 404


def test_the_same_seed_gives_the_same_reply(client: httpx.Client) -> None:
    body = {**BODIES["chat"], "temperature": 0.9, "seed": 7}
    assert client.post("/api/v1/chat", json=body).json()["output"] == client.post("/api/v1/chat", json=body).json()["output"]


def test_max_tokens_bounds_a_reply(client: httpx.Client) -> None:
    body = {"messages": [{"role": "user", "content": "Count to one thousand."}], "max_tokens": 8}
    assert client.post("/api/v1/chat", json=body).json()["usage"]["output_tokens"] <= 8


def test_a_prompt_longer_than_the_context_is_refused_and_the_model_goes_on(client: httpx.Client) -> None:
    long = {"messages": [{"role": "user", "content": "word " * 20_000}]}
    refused = client.post("/api/v1/chat", json=long)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "context_length_exceeded")
    assert client.post("/api/v1/chat", json=BODIES["chat"]).status_code == 200


def test_fill_in_the_middle_is_refused_where_the_model_cannot(client: httpx.Client) -> None:
    refused = client.post("/api/v1/completion", json={"prompt": "def add(a, b):", "suffix": "return c"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "unsupported_feature")


@pytest.mark.parametrize(
    ("capability", "change", "code"),
    [
        ("chat", {"model": "no-such-model"}, "model_not_found"),
        ("rag", {"collection": "no-such-collection"}, "collection_not_found"),
    ],
)
def test_an_unknown_name_is_404_streamed_or_not(
    client: httpx.Client, capability: str, change: dict[str, str], code: str
) -> None:
    for stream in (False, True):
        refused = client.post(f"/api/v1/{capability}", json={**BODIES[capability], **change, "stream": stream})
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, code)


def test_an_idempotency_key_gives_the_first_answer_again(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    body = {**BODIES["chat"], "temperature": 1.5}
    first = client.post("/api/v1/chat", json=body, headers=headers)
    again = client.post("/api/v1/chat", json=body, headers=headers)
    other = client.post("/api/v1/chat", json={**body, "max_tokens": 5}, headers=headers)
    assert again.json()["output"] == first.json()["output"]
    assert other.status_code == 422


def test_lists_page_by_cursor_and_show_every_row_once(platform: Running, client: httpx.Client) -> None:
    for number in range(5):
        client.post("/api/v1/rag/collections", json={"name": f"paged-{number}-{uuid.uuid4().hex[:8]}"})
    whole = [row["name"] for row in client.get("/api/v1/rag/collections", params={"limit": 200}).json()["results"]]
    seen: list[str] = []
    cursor = None
    while True:
        page = client.get("/api/v1/rag/collections", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        assert len(page["results"]) <= 2
        seen += [row["name"] for row in page["results"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(whole)
    assert len(seen) == len(set(seen))
