from collections.abc import Awaitable, Callable

import httpx
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from core.errors import RateLimited
from server import error_responses
from server.exact_paths import ExactPaths


def saying(text: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        if await request.body() == b"fail":
            raise RateLimited("no")
        return PlainTextResponse(text)

    return answer


def app() -> FastAPI:
    made = FastAPI()
    error_responses.install(made)
    made.add_route("/taken/{name}", saying("with a parameter"), methods=["POST"])
    made.add_route("/taken/before", saying("never"), methods=["POST"])
    made.add_route("/free", saying("free"), methods=["POST"])
    made.add_route("/shown", saying("shown"), methods=["GET"])
    made.router.routes.insert(0, ExactPaths(made.router.routes))
    return made


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app()), base_url="http://test")


async def test_a_path_is_answered_by_the_route_that_would_have_been_found_by_asking_in_turn() -> None:
    async with client() as calling:
        assert (await calling.post("/free")).text == "free"
        assert (await calling.post("/taken/before")).text == "with a parameter"
        assert (await calling.get("/shown")).text == "shown"


async def test_other_methods_and_other_paths_are_refused_as_before() -> None:
    async with client() as calling:
        assert (await calling.get("/free")).status_code == 405
        assert (await calling.post("/nothing")).status_code == 404


async def test_errors_of_a_route_reach_the_application_s_handlers() -> None:
    async with client() as calling:
        refused = await calling.post("/free", content=b"fail")
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limited"
