"""What was asked and answered, in spans."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from chains import CHAINS
from chains.spec import ChainDeps
from core import traces
from core.context import RequestContext, serving
from core.policies.policy import Policy
from core.principals import SYSTEM
from core.settings import Settings
from core.traces.sending import Tracing
from infra.running import wait_until
from tests.chains.fakes import ScriptedModels
from tests.collector import Collector, Sent

SECRET = "AKIA" + "IOSFODNN7EXAMPLE"
ASKED = {"messages": [{"role": "user", "content": f"Write to maria.schmidt@example.com with {SECRET} about puffins."}]}


@pytest.fixture
def capturing(settings: Settings, collector: Collector) -> Iterator[Tracing]:
    tracing = Tracing(Settings.load(data_dir=settings.data_dir, traces={"content": True}))
    traces.connect(tracing)
    yield tracing
    traces.connect(None)
    tracing.close()


async def run(settings: Settings, policy: dict[str, Any], *, keep_nothing: bool, stream: bool) -> None:
    models, missing = ScriptedModels(), cast("Any", None)
    models.policies.defaults = Policy.model_validate(policy)
    root = CHAINS.load("chat").build(ChainDeps(settings, cast("Any", models), missing, missing))
    with serving(RequestContext("r", SYSTEM, keep_nothing=keep_nothing)), traces.joining("request", None):
        if stream:
            assert [chunk async for chunk in root.astream(ASKED)]
        else:
            await root.ainvoke(ASKED)


def capability(tracing: Tracing, collector: Collector) -> Sent:
    def come() -> list[Sent]:
        tracing.provider.force_flush()
        return [span for span in collector.spans if span.name == "capability chat"]

    (span,) = wait_until(come, within_s=60, what="the capability's span")
    return span


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_content_is_told_without_what_is_personal_or_secret(
    settings: Settings, collector: Collector, capturing: Tracing, stream: bool
) -> None:
    await run(settings, {}, keep_nothing=False, stream=stream)
    span = await asyncio.to_thread(capability, capturing, collector)
    for name in ("gen_ai.input.messages", "gen_ai.output.messages"):
        told = span.attributes[name]
        assert "puffins" in told
        assert "<EMAIL_ADDRESS>" in told
        assert "maria" not in told
        assert SECRET not in told
    assert not span.failed


@pytest.mark.parametrize(
    ("policy", "keep_nothing"),
    [
        ({}, True),
        ({"retention": {"none": True}}, False),
        ({"data": {"providers": []}}, False),
        ({"pii": {"*": {"mode": "redact", "on": ["logs"]}}}, False),
    ],
    ids=["request", "tenant", "data", "logs"],
)
async def test_nothing_is_captured_of_what_may_not_be_kept(
    settings: Settings, collector: Collector, capturing: Tracing, policy: dict[str, Any], keep_nothing: bool
) -> None:
    await run(settings, policy, keep_nothing=keep_nothing, stream=False)
    assert not {name for name in capability(capturing, collector).attributes if name.startswith("gen_ai.")}


async def test_nothing_is_captured_unless_it_is_asked_for(settings: Settings, collector: Collector, tracing: Tracing) -> None:
    await run(settings, {}, keep_nothing=False, stream=False)
    assert capability(tracing, collector).attributes == {"genai.capability": "chat"}
