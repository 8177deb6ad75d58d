"""A judge at the wire, and outcomes to score."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from core import context
from core.context import RequestContext
from core.principals import SYSTEM
from core.settings import Settings
from providers.models import Models
from tests.fakes.openai import MODEL, OpenAIFake


@pytest.fixture(scope="module")
def opened() -> Iterator[OpenAIFake]:
    with OpenAIFake() as fake:
        yield fake


@pytest.fixture
def judge(opened: OpenAIFake) -> OpenAIFake:
    """What the alias `judge` asks; nobody has asked it yet."""
    opened.clear()
    return opened


@pytest.fixture
async def models(settings: Settings, judge: OpenAIFake) -> AsyncIterator[Models]:
    aliases: list[dict[str, Any]] = [
        {"alias": "judge", "deployments": [{"provider": "openai", "model": MODEL}]},
        {"alias": "plain", "deployments": [{"provider": "openai_compatible:plain", "model": "m", "structured_output": False}]},
        {
            "alias": "vectors",
            "kind": "embeddings",
            "deployments": [{"provider": "openai", "model": "text-embedding-3-small"}],
        },
    ]
    configured = Settings.load(
        data_dir=settings.data_dir,
        models=aliases,
        providers={
            "openai": {"base_url": judge.base_url, "api_key": "k"},
            "openai_compatible:plain": {"base_url": judge.base_url},
        },
    )
    made = Models(configured)
    with context.serving(RequestContext(request_id="r", principal=SYSTEM)):
        yield made
    await made.close()
