"""Fixtures of what several tests of providers stand on: a Valkey, a provider at the wire, a ledger in memory."""

from collections.abc import Iterator
from typing import Any

import pytest

from core import context, ledger
from core.context import RequestContext
from core.principals import SYSTEM
from tests.fakes.openai import OpenAIFake
from tests.providers.bookkeeping import Book


@pytest.fixture(scope="module")
def opened() -> Iterator[OpenAIFake]:
    with OpenAIFake() as fake:
        yield fake


@pytest.fixture
def provider(opened: OpenAIFake) -> OpenAIFake:
    """A provider that nobody has called yet."""
    opened.clear()
    return opened


@pytest.fixture
def request_context() -> Iterator[RequestContext]:
    """A request of nobody in particular."""
    with context.serving(RequestContext(request_id="r", principal=SYSTEM)) as serving:
        yield serving


@pytest.fixture
def book() -> Iterator[Book]:
    """What goes on record."""
    opened: Any = Book()
    ledger.connect(opened)
    yield opened
    ledger.connect(None)
