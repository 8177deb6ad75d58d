"""Questions to small collections, half of them near the topic and without an answer: how many are answered rightly, and how
many wrongly. `kinds` asks for prices, times, places and people of what the documents name without them, `forms` for such as are
there in other words. `lines` has price lists, receipts and the like, `asked` what documents answer as questions, `lists` what
is answered by all of a list or by a block of code, `named` asks about things that a title names and sentences name again,
`programs` what source code does, `bystanders` about what a text mentions beside what it is about, `worded` asks
papers of an office as people do, half of it in quite other words than theirs, `decisions` asks for durations, days, persons and
what was decided where much is said beside it, also in conversations, `languages` asks in Spanish, Italian,
Portuguese, French and Dutch, and `follow_ups` has conversations in English, German and French, whose questions go on
from those before them. `tuned` was looked at while the judging was made, `held_out` was not."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from core.database import Database
from core.settings import Settings
from core.tables import Collection
from providers.models import Models
from tests.chains.asking import Place, add, desk

#: The share of questions whose answer is neither cited nor shown as what comes closest.
_HIDDEN = 0.25
HERE = Path(__file__).parent / "answerable"


@pytest.mark.parametrize(
    ("half", "right", "wrong"),
    [
        ("tuned", 0.85, 0.06),
        ("held_out", 0.7, 0.2),
        ("kinds", 0.93, 0.08),
        ("forms", 0.88, 0.0),
        ("lines", 0.9, 0.0),
        ("asked", 1.0, 0.17),
        ("lists", 0.9, 0.0),
        ("languages", 0.93, 0.07),
        ("named", 1.0, 0.17),
        ("programs", 0.75, 0.0),
        ("bystanders", 0.8, 0.0),
        ("worded", 0.65, 0.0),
        ("decisions", 1.0, 0.0),
    ],
)
async def test_most_questions_are_answered_from_the_right_place_and_few_without_an_answer(
    prepared: Settings, half: str, right: float, wrong: float
):
    database = Database(prepared)
    asked = json.loads((HERE / half / "questions.json").read_text())
    async with desk(prepared, Place(database, Models(prepared)), *["I cannot say."] * 100, small=True) as it:
        collection = Collection(name="asked")
        async with database.transaction(all_tenants=True) as session:
            session.add(collection)
        for file in sorted((HERE / half).iterdir()):
            if file.name not in ("questions.json", "conversations.json"):
                await add(it.library, collection, file.name, file.read_text())
        missed, hidden = [], []
        for question, expected in asked["answerable"]:
            answer = await it.ask(question, collection="asked")
            if expected not in said(answer["citations"]):
                missed.append(question)
            if expected not in said(answer["citations"]) + said(answer["nearest"]):
                hidden.append(question)
        invented = [question for question in asked["unanswerable"] if (await it.ask(question, collection="asked"))["answered"]]
    await database.close()
    assert len(missed) <= (1 - right) * len(asked["answerable"]), missed
    assert len(invented) <= wrong * len(asked["unanswerable"]), invented
    assert len(hidden) <= _HIDDEN * len(asked["answerable"]), hidden


def said(places: Sequence[dict[str, Any]]) -> str:
    """The quotes, with each blank space as one."""
    return " ".join(" ".join(place["quote"] for place in places).split())


@pytest.mark.parametrize(("half", "wrong"), [("follow_ups", 0.05), ("decisions", 0.0)])
async def test_most_follow_ups_are_answered_about_what_was_spoken_of(prepared: Settings, half: str, wrong: float):
    database = Database(prepared)
    conversations = json.loads((HERE / half / "conversations.json").read_text())
    async with desk(prepared, Place(database, Models(prepared)), *["I cannot say."] * 100, small=True) as it:
        collection = Collection(name="asked")
        async with database.transaction(all_tenants=True) as session:
            session.add(collection)
        for file in sorted((HERE / half).iterdir()):
            if file.suffix != ".json":
                await add(it.library, collection, file.name, file.read_text())
        missed, followed = [], 0
        for number, turns in enumerate(conversations):
            for place, (question, expected) in enumerate(turns):
                answer = await it.ask(question, collection="asked", session_id=f"talk-{number}")
                quoted = said(answer["citations"])
                # of several things at once it is an answer about none
                right = not answer["answered"] if expected is None else expected in quoted and len(answer["citations"]) <= 2
                followed += place > 0
                missed += [] if right or not place else [question]
    await database.close()
    assert len(missed) <= wrong * followed, missed
