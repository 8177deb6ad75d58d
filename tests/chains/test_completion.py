from typing import Any, cast

import pytest

from chains.completion import SPEC
from chains.spec import ChainDeps
from core.errors import InvalidRequest
from core.settings import Settings
from tests.chains.fakes import ScriptedModels


async def test_a_continuation_is_text_whole_and_in_pieces(settings: Settings) -> None:
    models = ScriptedModels()
    root = SPEC.build(ChainDeps(settings, cast("Any", models), cast("Any", None), cast("Any", None)))
    assert await root.ainvoke({"prompt": "Once upon"}) == "You said: Once upon"
    assert [chunk async for chunk in root.astream({"prompt": "Once", "stop": "x"})] == ["You", " said:", " Once"]
    assert models.model.bound == [{"max_tokens": 256}, {"max_tokens": 256, "stop": ["x"]}]


@pytest.mark.parametrize("wrong", [{}, {"prompt": ""}, {"prompt": 5}, {"prompt": ["x"]}, {"prompt": "x", "suffix": ""}])
async def test_a_prompt_that_is_none_is_refused(settings: Settings, wrong: dict[str, Any]) -> None:
    root = SPEC.build(ChainDeps(settings, cast("Any", ScriptedModels()), cast("Any", None), cast("Any", None)))
    with pytest.raises(InvalidRequest):
        await root.ainvoke(wrong)
