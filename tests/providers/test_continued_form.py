"""Cut answers in a form: the rest is joined where both together keep to it, and an error tells of any other."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import PlatformError
from core.settings import Settings
from providers.continued_form import FormSeam
from providers.failures import StreamCut
from providers.models import Models
from tests.fakes.openai import OpenAIFake
from tests.fakes.scenarios import cuts
from tests.fakes.wire import Break, Fault, Reply

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "tags": {"type": "array"}},
    "required": ["name", "age"],
}
FORM = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
ANY = {"type": "json_object"}
ADA = Reply(text='{"name": "Ada King of Lovelace", "age": 36, "tags": ["a b", "a b", ""]}')
OTHER = '{"name":"A. Lovelace","age":7}'


def joined(sent: str, continuation: str, size: int = 100, *, form: dict[str, Any] = ANY, trusted: bool = True) -> str | None:
    """What a caller has in the end; None where the two cannot be joined for certain."""
    seam = FormSeam(sent, form, trusted=trusted)
    try:
        pieces = [seam.feed(continuation[at : at + size]) for at in range(0, len(continuation), size)]
        assert not any(pieces), "nothing goes out before it is known to be right"
        return sent + seam.end()
    except StreamCut:
        return None


VALUES = st.recursive(
    st.sampled_from(["", "a b", " ", "the quick brown fox", '"{', 1, 12, None, True]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b c", ""]), inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "the name", "c"]), VALUES, max_size=3)


@settings(max_examples=300, deadline=None)
@given(value=OBJECTS, at=st.integers(0, 400), size=st.integers(1, 9), indent=st.sampled_from([None, 2]))
def test_a_true_rest_is_whole_or_refused(value: dict[str, Any], at: int, size: int, indent: int | None) -> None:
    whole = json.dumps(value, indent=indent)
    sent = whole[: 1 + at % len(whole)]
    assert joined(sent, whole[len(sent.rstrip()) :], size) in (whole, None)


@settings(max_examples=300, deadline=None)
@given(value=OBJECTS, other=OBJECTS, at=st.integers(0, 400), trusted=st.booleans())
def test_an_answer_anew_stands_once_or_is_refused(value: dict[str, Any], other: dict[str, Any], at: int, trusted: bool) -> None:
    whole = json.dumps(value)
    sent = whole[: 1 + at % len(whole)]
    assert joined(sent, whole, trusted=trusted) in (whole, None)
    answer = joined(sent, json.dumps(other, indent=2), trusted=trusted)
    assert answer is None or json.loads(answer) in (value, other)


@pytest.mark.parametrize(
    ("sent", "continuation", "whole"),
    [
        ('{"name":"', 'Ada","age":7}', '{"name":"Ada","age":7}'),
        ('{"name":"', '{"name": "Ada", "age": 7}', None),
        ('{"name":"', '{"name":"Ada","age":7}', '{"name":"Ada","age":7}'),
        ('{\n  "', '{"name": "Ada", "age": 7}', None),
        ('{"name":"Ada","ag', '{"name": "Ada", "age": 7}', None),
        ('{"name":"Ada",', '"name":"Ada","age":7}', None),
        ('{"name":"Ada",', '"age":"seven"}', None),
        ('{"name":"Ada",', '"age":7', None),
        ('{"name":"Ada","age":7}', "", '{"name":"Ada","age":7}'),
        ('{"name":"Ada","age":7}', '{"name":"Ada","age":7}', '{"name":"Ada","age":7}'),
        ('{"name":"Ada","age":NaN,"age', '":7}', None),
        ('```json\n{"name":"Ada",', '"age":7}\n```', None),
    ],
)
def test_the_text_is_held_to_the_form(sent: str, continuation: str, whole: str | None) -> None:
    assert {joined(sent, continuation, size, form=FORM) for size in (1, 3, 100)} == {whole}


def test_a_form_that_nothing_can_be_held_to_proves_nothing() -> None:
    unusable = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "https://example.com/schema"}}}
    assert joined('{"a":', "1}", form=unusable) is None
    assert joined("1", "2", form=ANY) is None, "two numbers are one"


class Grammar(OpenAIFake):
    """Holds all that it generates to the form that it is asked for, from the first token on, as vLLM and llama.cpp do."""

    anew = OTHER

    def _prefilled(self, step: Any, body: Any) -> Any:
        if self.begun(body) is not None and body.get("response_format"):
            return Reply(text=self.anew)
        return super()._prefilled(step, body)


@pytest.fixture(scope="module")
def fakes() -> Iterator[tuple[OpenAIFake, Grammar]]:
    with OpenAIFake() as first, Grammar(continues=True) as second:
        yield first, second


@pytest.fixture
async def models(settings: Settings, fakes: tuple[OpenAIFake, Grammar]) -> AsyncIterator[Models]:
    for fake in fakes:
        fake.clear()
    fakes[1].continues = True
    deployments = [{"provider": f"openai_compatible:{name}", "model": name} for name in ("a", "b")]
    deployments[1] |= {"prefill": True}  # type: ignore[dict-item] # a setting
    made = Models(
        Settings.load(
            data_dir=settings.data_dir,
            models=[{"alias": "default", "deployments": deployments}],
            providers={
                f"openai_compatible:{name}": {"base_url": fake.base_url} for name, fake in zip("ab", fakes, strict=True)
            },
            breaker={"failures": 1000, "window_calls": 1000},
        )
    )
    await made.warm(local=False)
    yield made
    await made.close()


async def streamed(models: Models, form: dict[str, Any]) -> tuple[str, str | None]:
    pieces: list[str] = []
    try:
        async for chunk in models.chat().astream("Who?", response_format=form):
            pieces.append(chunk.text)  # noqa: PERF401 - what came before an error is kept
    except PlatformError as error:
        return "".join(pieces), error.code
    return "".join(pieces), None


PLACES = range(len(cuts(OpenAIFake(), ADA)))


@pytest.mark.parametrize("form", [FORM, ANY], ids=["json_schema", "json_object"])
@pytest.mark.parametrize("place", PLACES)
async def test_a_form_cut_at_any_chunk_is_whole_where_another_goes_on(
    models: Models, fakes: tuple[OpenAIFake, Grammar], place: int, form: dict[str, Any]
) -> None:
    first, second = fakes
    first.then(Break(Fault.CUT, place, ADA))
    second.always(ADA)
    assert await streamed(models, form) == (ADA.text, None)
    went_on = second.begun(second.last.body) is not None if second.sent else False
    assert not (went_on and "response_format" in second.last.body), "a grammar would begin anew"


@pytest.mark.parametrize("anew", [OTHER, f"\n{OTHER}", json.dumps(json.loads(ADA.text), indent=2), "Sure! Here it is."])
@pytest.mark.parametrize("place", PLACES)
async def test_a_form_cut_at_any_chunk_is_never_broken_or_told_twice(
    models: Models, fakes: tuple[OpenAIFake, Grammar], place: int, anew: str
) -> None:
    first, second = fakes
    first.then(Break(Fault.CUT, place, ADA))
    second.always(Reply(text=anew))  # it solves the riddle, and takes no beginning of this up
    text, code = await streamed(models, FORM)
    if code is None:
        assert text == anew or json.loads(text) in (json.loads(ADA.text), json.loads(OTHER)), (
            "whole, by the one or by the other"
        )
    else:
        assert (code, ADA.text.startswith(text), bool(text)) == ("stream_interrupted", True, True)
