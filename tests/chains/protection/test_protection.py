from typing import Any, cast

import pytest
from langchain_core.callbacks import AsyncCallbackHandler

from chains import CHAINS
from chains.prompting import PROMPTS, own_words
from chains.protection.guarding import check_settings
from chains.spec import ChainDeps
from core.context import RequestContext, serving
from core.errors import PersonalDataBlocked
from core.policies.policy import Place, Policy
from core.policies.privacy import Privacy
from core.policies.store import Policies
from core.principals import SYSTEM
from core.settings import Settings, SettingsError
from tests.chains.fakes import ScriptedModels


@pytest.mark.parametrize("name", CHAINS)
def test_every_capability_is_served_within_the_policies(name: str, settings: Settings) -> None:
    missing = cast("Any", None)
    deps = ChainDeps(settings, cast("Any", ScriptedModels()), missing, missing)
    root = CHAINS.load(name).build(deps)
    assert root._protection is not None


async def test_the_platforms_own_words_are_nobodys_data_and_callers_words_beside_them_are() -> None:
    privacy = Privacy(Policies(Policy.model_validate({"pii": {"*": "block"}})))
    privacy.own_words(own_words())
    with serving(RequestContext(request_id="r", principal=SYSTEM)):
        modes = privacy.modes(Place.PROMPTS)
        for file in PROMPTS.rglob("*.txt"):
            await privacy.passing(modes).text(file.read_text())
        template = (PROMPTS / "rag_question.txt").read_text()
        with pytest.raises(PersonalDataBlocked):
            await privacy.passing(modes).text(template.replace("$question", "Where is Maria Schmidt?"))


@pytest.mark.parametrize(
    ("policies", "named"),
    [
        ({"guards": [{"guard": "shoe"}]}, "GENAI_POLICIES__GUARDS"),
        ({"guards": [{"guard": "patterns", "options": {}}]}, "deny"),
        ({"guards": [{"guard": "prompt_injection", "capabilities": ["caht"]}]}, "GENAI_POLICIES__GUARDS.*'caht'"),
        ({"pii": {"caht": "redact"}}, "GENAI_POLICIES__PII.*'caht'"),
    ],
)
def test_rules_that_would_never_hold_stop_the_start(policies: Any, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        check_settings(Settings.load(policies=policies))


def test_policies_of_the_deployment_come_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAI_POLICIES__PII", '{"*": "redact"}')
    monkeypatch.setenv("GENAI_POLICIES__DATA", '{"providers": ["azure"]}')
    policy = Settings.load().policies.policy()
    assert policy.handles_pii
    assert policy.data.providers == ("azure",)
    monkeypatch.setenv("GENAI_POLICIES__PII", '{"*": ["shred"]}')
    with pytest.raises(SettingsError, match="GENAI_POLICIES__PII"):
        Settings.load()


class Tracer(AsyncCallbackHandler):
    """Writes down what it is told of a chain."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.told.append(str(inputs))

    async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.told.append(str(outputs))


@pytest.mark.parametrize(
    ("policy", "traced"),
    [
        ({}, True),
        ({"pii": {"*": "redact"}}, True),
        ({"pii": {"*": {"mode": "redact", "on": ["logs"]}}}, False),
        ({"data": {"providers": []}}, False),
    ],
)
async def test_tracers_are_told_nothing_that_may_not_be_written_down(
    policy: dict[str, Any], traced: bool, settings: Settings
) -> None:
    models, missing = ScriptedModels(), cast("Any", None)
    models.policies.defaults = Policy.model_validate(policy)
    root = CHAINS.load("chat").build(ChainDeps(settings, cast("Any", models), missing, missing))
    asked = {"messages": [{"role": "user", "content": "Hello there."}]}
    tracer = Tracer()
    await root.ainvoke(asked, {"callbacks": [tracer]})
    assert bool(tracer.told) is traced
    events = [each["event"] async for each in root.astream_events(asked, {"callbacks": [tracer]}, version="v2")]
    assert events[0] == "on_chain_start"
    assert events[-1] == "on_chain_end"
    assert bool(tracer.told) is traced
