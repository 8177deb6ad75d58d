from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from chains.chat import SPEC as CHAT
from chains.multimodal import SPEC as MULTIMODAL
from server import error_responses
from server.form_input import form_input, form_schema


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = FastAPI()
    error_responses.install(app)

    async def multimodal(request: Request) -> Any:
        return await form_input(request, MULTIMODAL.input)

    async def chat(request: Request) -> Any:
        return await form_input(request, CHAT.input)

    app.post("/multimodal")(multimodal)
    app.post("/chat")(chat)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://platform")


async def test_a_forms_files_and_fields_are_the_input_that_its_json_would_be(client: httpx.AsyncClient) -> None:
    files = [("images", ("a.png", b"abc")), ("images", ("b.png", b"d")), ("documents", ("c.pdf", b"abc"))]
    answer = await client.post("/multimodal", data={"text": "12", "temperature": "0.5", "stream": "true"}, files=files)
    assert answer.json() == {
        "text": "12",
        "temperature": 0.5,
        "stream": True,
        "images": ["YWJj", "ZA=="],
        "documents": [{"name": "c.pdf", "data": "YWJj"}],
    }


async def test_a_file_under_a_name_that_holds_none_is_refused(client: httpx.AsyncClient) -> None:
    refused = await client.post("/multimodal", data={"text": "x"}, files={"picture": b"abc"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_form")
    assert "images and documents" in refused.json()["error"]["message"]


async def test_a_capability_without_files_takes_no_form(client: httpx.AsyncClient) -> None:
    refused = await client.post("/chat", data={"messages": "x"}, files={"images": b"abc"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_the_form_is_described() -> None:
    described = form_schema(MULTIMODAL.input)
    assert described["required"] == ["text"]
    assert described["properties"]["images"]["items"]["format"] == "binary"
