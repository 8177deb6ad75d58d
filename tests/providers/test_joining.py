"""Log probabilities at the seam of a cut stream are those of the text that goes out."""

from contextlib import nullcontext, suppress
from typing import Any

import pytest

from core.errors import ProviderFailed
from core.settings import Settings
from providers.joining import tokens_of_the_end
from providers.models import Models
from tests.fakes import openai as protocol
from tests.fakes.openai import OpenAIFake
from tests.fakes.scenarios import ANSWER
from tests.fakes.wire import Break, Fault


def token(text: str, **more: Any) -> dict[str, Any]:
    return {"token": text, "logprob": -0.1, "bytes": list(text.encode()), **more}


@pytest.mark.parametrize(
    ("tokens", "end", "expected"),
    [
        (["It", " is", " cold"], " cold", [" cold"]),
        (["It", " is", " cold"], "cold", ["cold"]),
        (["It", " is", " cold"], "It is cold", ["It", " is", " cold"]),
        (["It", " is", " cold", ""], " cold", [" cold", ""]),
        (["Oslo", "️ ☃"], "☃", ["☃"]),
        (["It", "is", "cold"], " cold", []),
        ([], " cold", []),
    ],
)
def test_the_tokens_of_the_end_are_found(tokens: list[str], end: str, expected: list[str]) -> None:
    found = tokens_of_the_end([token(text) for text in tokens], end)
    assert [each["token"] for each in found] == expected
    assert all(bytes(each["bytes"]).decode() == each["token"] for each in found)


@pytest.mark.parametrize("broken", [{"bytes": "x"}, {"bytes": [999]}, {"bytes": None, "token": 5}])
def test_tokens_that_cannot_be_read_are_left_out(broken: dict[str, Any]) -> None:
    assert tokens_of_the_end([token("cold") | broken], "cold") == []
    assert tokens_of_the_end([token("cold") | {"bytes": None}], "cold") == [token("cold") | {"bytes": None}]


class Spaced(OpenAIFake):
    """Tells its tokens as OpenAI does: all of the text, and its spaces."""

    def streamed(self, reply: Any, body: Any) -> list[dict[str, Any]]:
        events = super().streamed(reply, body)
        for event in events:
            for choice in event["choices"]:
                if text := (choice.get("delta") or {}).get("content"):
                    choice["logprobs"] = {"content": [token(text)], "refusal": None}
        return events


@pytest.mark.parametrize("place", range(1, len(protocol.OpenAIFake().streamed(ANSWER, {}))))
@pytest.mark.parametrize("continues", [True, False], ids=["goes-on", "repeats"])
async def test_cut_at_any_chunk_the_tokens_make_the_text(settings: Settings, place: int, continues: bool) -> None:
    with Spaced() as first, Spaced(continues=continues) as second:
        first.then(Break(Fault.CUT, place, ANSWER))
        second.always(ANSWER)
        deployments = [{"provider": f"openai_compatible:{name}", "model": "m", "prefill": True} for name in "ab"]
        addresses = {f"openai_compatible:{name}": {"base_url": fake.base_url} for name, fake in (("a", first), ("b", second))}
        models = Models(
            Settings.load(
                data_dir=settings.data_dir,
                models=[{"alias": "default", "deployments": deployments}],
                providers=addresses,
            )
        )
        text, tokens = "", ""
        with nullcontext() if continues else suppress(ProviderFailed):  # a short repetition may be chance
            async for chunk in models.chat().astream("Hello", logprobs=True):
                text += chunk.text
                told = chunk.response_metadata.get("logprobs") or {}
                tokens += "".join(each["token"] for each in told.get("content") or ())
        assert tokens == text
        assert text == ANSWER.text if continues or place > 5 else ANSWER.text.startswith(text)
        await models.close()
