from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chains.parameters import ModelChoice
from chains.phrasing import from_quotes, standing
from chains.quotes import Quote, candidates
from chains.spec import ChainDeps
from core.settings import Settings
from providers.base import ModelFacts
from retrievers.base import Chunk
from retrievers.lexical import LexicalIndex
from tests.chains.fakes import ScriptedChat, ScriptedModels

HOW, THEN = "Revoke a badge with `badges revoke ID` at the desk.", "It ends at once; other doors refuse it within a second."
TEXT = f"{HOW} {THEN}"


def quoted() -> dict[str, Quote]:
    chunk = Chunk("c1", "d1", "doors.md", 1, TEXT, 0, len(TEXT), context="Doors › How do I revoke a badge?")
    return {quote.text: quote for quote in candidates(chunk)}


def test_a_sentence_that_says_more_of_the_one_before_it_does_not_stand_alone() -> None:
    found = quoted()
    assert [quote.text for quote in standing([replace(found[THEN], relevance=1.0), replace(found[HOW], relevance=0.5)])] == [
        HOW,
        THEN,
    ]


@pytest.mark.parametrize("order", [(HOW, THEN), (THEN, HOW)], ids=["first", "last"])
async def test_an_answer_that_leaves_out_what_it_speaks_of_is_replaced_by_both_sentences(
    settings: Settings, order: tuple[str, str]
) -> None:
    found = quoted()
    resources = SimpleNamespace(lexical=SimpleNamespace(words=LexicalIndex(settings).words))
    models = ScriptedModels(ScriptedChat(THEN), ModelFacts(context_tokens=4096, small=True))
    deps = ChainDeps(settings, cast("Any", models), cast("Any", SimpleNamespace(resources=resources)), cast("Any", None))
    text, used = await from_quotes(deps, ModelChoice(), "How do I revoke a badge?", [found[each] for each in order])
    assert text == TEXT
    assert [quote.text for quote in used] == [HOW, THEN]


async def test_a_sentence_that_is_cut_shows_that_it_goes_on(settings: Settings) -> None:
    text = (
        "The seller is liable for damage to goods; " + "for loss of goodwill, and for stoppage of work, " * 14 + "or for more."
    )
    quote = candidates(Chunk("c1", "d1", "terms.md", 1, text, 0, len(text), context=""))[0]
    resources = SimpleNamespace(lexical=SimpleNamespace(words=LexicalIndex(settings).words))
    models = ScriptedModels(ScriptedChat("I cannot say."), ModelFacts(context_tokens=4096, small=True))
    deps = ChainDeps(settings, cast("Any", models), cast("Any", SimpleNamespace(resources=resources)), cast("Any", None))
    answer, _ = await from_quotes(deps, ModelChoice(), "What is the seller liable for?", [quote])
    assert answer.endswith(("stoppage of work …", "loss of goodwill …"))


async def test_a_row_of_a_file_is_not_put_into_a_small_models_words(settings: Settings) -> None:
    text = "Item: Cheesecake (slice) | Weight: 150 g | Contains: wheat, milk\nItem: Pretzel | Weight: 90 g | Contains: oat\n"
    quote = candidates(Chunk("c1", "d1", "shop.csv", 1, text, 0, len(text), context=""))[0]
    resources = SimpleNamespace(lexical=SimpleNamespace(words=LexicalIndex(settings).words))
    models = ScriptedModels(ScriptedChat("Wheat (milk)."), ModelFacts(context_tokens=4096, small=True))
    deps = ChainDeps(settings, cast("Any", models), cast("Any", SimpleNamespace(resources=resources)), cast("Any", None))
    answer, _ = await from_quotes(deps, ModelChoice(), "Does the cheesecake contain milk?", [quote])
    assert answer == "Item: Cheesecake (slice), Weight: 150 g, Contains: wheat, milk."


async def test_a_row_whose_columns_are_years_answers_itself(settings: Settings) -> None:
    text = "Region: North | 2021: 450 | 2022: 470\nRegion: West | 2021: 120 | 2022: 130\n"
    quote = candidates(Chunk("c1", "d1", "sales.csv", 1, text, 0, len(text), context=""))[0]
    resources = SimpleNamespace(lexical=SimpleNamespace(words=LexicalIndex(settings).words))
    models = ScriptedModels(ScriptedChat("North in 2022 is 450."), ModelFacts(context_tokens=4096, small=True))
    deps = ChainDeps(settings, cast("Any", models), cast("Any", SimpleNamespace(resources=resources)), cast("Any", None))
    answer, used = await from_quotes(deps, ModelChoice(), "How much was North in 2022?", [quote])
    assert answer == "Region: North, 2021: 450, 2022: 470."
    assert used == [quote]


@pytest.mark.parametrize(
    ("text", "said", "answer"),
    [
        (
            "Tuesday chess club with Mr Novak\n\nFriday yoga",
            "Tuesday chess club with Timetable.",
            "Tuesday chess club with Mr Novak.",
        ),
        ("- passport\n- rain jacket", "Pack a passport.", "passport, rain jacket."),
        ("# Use\n\n```sh\nfast go\nfast stop\n```", "Fast go fast stop.", "```sh\nfast go\nfast stop\n```"),
    ],
    ids=["entry", "list", "code"],
)
async def test_entries_lists_and_code_are_answered_with_as_they_are(
    settings: Settings, text: str, said: str, answer: str
) -> None:
    chunk = Chunk("chk_1", "doc_1", "a.md", 1, text, 0, len(text), None, "Timetable")
    (quote, *_) = candidates(chunk, code=True)
    best = replace(quote.listed() if text.startswith("-") else quote, relevance=1.0)
    resources = SimpleNamespace(lexical=SimpleNamespace(words=LexicalIndex(settings).words))
    models = ScriptedModels(ScriptedChat(said), ModelFacts(context_tokens=4096, small=True))
    deps = ChainDeps(settings, cast("Any", models), cast("Any", SimpleNamespace(resources=resources)), cast("Any", None))
    assert await from_quotes(deps, ModelChoice(), "Who leads the chess club?", [best]) == (answer, [best])
