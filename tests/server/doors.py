"""The door of OpenAI's clients on real chains and models, before a provider at the wire."""

import json
from types import SimpleNamespace
from typing import Any, cast

import httpx

from chains import CHAINS
from chains.spec import ChainDeps
from core.settings import Settings
from providers.models import Models
from server.openai_door.routes import open_door
from tests.fakes.openai import OpenAIFake

HELLO = {"model": "default", "messages": [{"role": "user", "content": "Hello?"}]}


def with_provider(settings: Settings, provider: OpenAIFake, **more: Any) -> Settings:
    def served_by(alias: str, model: str, kind: str = "chat") -> dict[str, Any]:
        deployment = {"provider": "openai_compatible:fake", "model": model, "images": True}
        return {"alias": alias, "kind": kind, "deployments": [deployment]}

    return Settings.load(
        data_dir=settings.data_dir,
        models=[served_by("default", "gpt-4o-mini"), served_by("vectors", "text-embedding-3-small", "embeddings")],
        providers={"openai_compatible:fake": {"base_url": provider.base_url, "api_key": "x"}},
        **more,
    )


def opened(app: Any, settings: Settings) -> Models:
    """The door on `app`, on real chains and models."""
    models = Models(settings)
    deps = ChainDeps(settings, models, cast("Any", None), cast("Any", SimpleNamespace()))
    chat, completion = (CHAINS.load(name).build(deps) for name in ("chat", "completion"))
    open_door(app, chat, completion, models)
    return models


def error_of(answer: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    assert set(answer.json()) == {"error"}
    assert set(error) == {"message", "type", "param", "code"}
    assert answer.headers["x-request-id"]
    return error


def events_of(answer: httpx.Response) -> list[Any]:
    """The data of a stream's events, `[DONE]` as it is."""
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    lines = [line for line in answer.text.split("\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    return [data if data == "[DONE]" else json.loads(data) for data in (line.removeprefix("data: ") for line in lines)]
