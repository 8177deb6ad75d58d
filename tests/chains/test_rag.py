import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from pydantic import ValidationError
from sqlmodel import select

from chains import rag
from chains.conversations import Conversations
from chains.kept_citations import Reopening
from chains.messages import Assistant, User
from core.answer_sources import WITHHELD
from core.database import Database
from core.errors import InvalidRequest, NotFound
from core.principals import SYSTEM
from core.settings import Settings
from core.tables import AnswerSource, Collection, Conversation, Document
from providers.likeness import comparable
from providers.models import Models
from tests.chains.asking import LEAVE, Desk, Place, add, desk


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The embedding model; it holds no process and no connection that would have to be closed."""
    return Models(Settings.load(data_dir=tmp_path_factory.mktemp("models")))


@pytest.fixture
async def kept(prepared: Settings, models: Models) -> AsyncIterator[Place]:
    database = Database(prepared)
    yield Place(database, models)
    await database.close()


async def verified(desk: Desk, answer: dict) -> list[str]:
    """The quotes of an answer, after a look at the stored text itself."""
    quotes = []
    for citation in answer["citations"]:
        document = desk.documents[citation["document"]]
        text = (await desk.library.resources.files.get(document.text_key, tenant=document.tenant)).decode()
        assert citation["document_id"] == document.id
        assert text[citation["start"] : citation["end"]] == citation["quote"] != ""
        quotes.append(citation["quote"])
    return quotes


async def test_a_small_models_wording_is_kept_where_the_quotes_say_it(settings, kept):
    async with desk(settings, kept, "You have 28 days of paid annual leave in a calendar year.", small=True) as it:
        answer = await it.ask("How many days of annual leave do I have?")
        assert answer["output"] == "You have 28 days of paid annual leave in a calendar year."
        assert answer["answered"] is True
        assert any("28 days" in quote for quote in await verified(it, answer))
        assert answer["model"] == "words-1"


@pytest.mark.parametrize(
    "invented",
    [
        "You have 30 days of paid annual leave in a calendar year.",
        "You have no paid annual leave in a calendar year.",
        "You have 28 days of paid annual leave: `LEAVE_DAYS_KEY`.",
        "The answer is 28.",
        "Annual leave is a wonderful time for travelling with family and friends.",
        "How many days of annual leave do I have?",
        "",
    ],
)
async def test_what_the_quotes_do_not_say_is_replaced_by_the_quote(settings, kept, invented):
    async with desk(settings, kept, invented, small=True) as it:
        answer = await it.ask("How many days of annual leave do I have?")
        assert answer["output"].startswith("Full-time employees have 28 days of paid annual leave in a calendar year.")
        assert "28 days" in (await verified(it, answer))[0]


async def test_a_busy_small_model_is_done_without(settings, kept):
    async with desk(settings, kept, small=True) as it:
        answer = await it.ask("I am busy: how long is sick pay continued?")
        assert "six weeks" in answer["output"]
        assert await verified(it, answer)


@pytest.mark.parametrize(
    "question", ["What is the capital of France?", "How do I bake sourdough bread?", "Who painted the Mona Lisa?"]
)
async def test_a_question_beside_the_point_is_not_answered_and_no_model_is_asked(settings, kept, question):
    async with desk(settings, kept, "Paris.", small=True) as it:
        answer = await it.ask(question)
        assert (answer["answered"], answer["citations"], it.model.prompts) == (False, [], [])
        assert answer["nearest"] == []
        assert "does not hold an answer" in answer["output"]


async def test_a_table_row_answers_in_words(settings, kept):
    async with desk(settings, kept, "nonsense", small=True) as it:
        answer = await it.ask("What is the weight of the pump?")
        assert "Weight: 18.5 kg" in answer["output"]
        assert "| Weight | 18.5 kg |" in await verified(it, answer)


async def test_a_table_is_not_put_into_a_small_models_words(settings, kept):
    async with desk(settings, kept, "The weight is 18.5 kg.", small=True) as it:
        answer = await it.ask("What is the weight of the pump?")
        assert it.model.prompts == []
        assert "Property" not in answer["output"]


async def test_of_a_table_in_a_file_one_row_is_cited(settings, kept):
    async with desk(settings, kept, small=True) as it:
        people = (("Ada Lovelace", "London", 5200), ("Grace Hopper", "New York", 6100), ("Alan Turing", "Manchester", 4800))
        rows = "\n".join(f"{name},{city},{pay}" for name, city, pay in people)
        records = json.dumps([{"product": f"{name} drone", "warranty_months": pay // 100} for name, _, pay in people])
        company = await it.library.collections.get(SYSTEM, "company")
        it.documents["staff.csv"] = await add(it.library, company, "staff.csv", f"name,city,salary\n{rows}\n")
        it.documents["drones.json"] = await add(it.library, company, "drones.json", records)
        pay = await it.ask("What is the salary of Grace Hopper?")
        assert (await verified(it, pay))[0] == "name: Grace Hopper | city: New York | salary: 6100"
        assert "6100" in pay["output"]
        warranty = await it.ask("How many months of warranty has the Alan Turing drone?")
        assert (await verified(it, warranty))[0] == "product: Alan Turing drone\nwarranty_months: 48"


async def test_a_large_models_marks_become_citations(settings, kept):
    async with desk(settings, kept, "Frost damage is not covered by the warranty [1].", small=False) as it:
        answer = await it.ask("Does the warranty cover frost?")
        assert answer["output"] == "Frost damage is not covered by the warranty [1]."
        assert "Damage by frost is not covered." in (await verified(it, answer))[0]


async def test_sources_are_marked_and_cannot_end_their_mark(settings, kept):
    async with desk(settings, kept, "It is 24 months [1].", small=False) as it:
        await it.ask("How long is the warranty?")
        prompt = it.model.prompts[0][-1].text
        assert comparable(it.model.prompts[0][-1]) is None  # nearly the same sources may be another's
        assert "MELON" in prompt
        assert prompt.count("</source>") == prompt.count("<source ")
        assert "only text to answer from" in it.model.prompts[0][0].text


async def test_a_large_model_may_say_that_the_sources_do_not_answer(settings, kept):
    async with desk(settings, kept, "NOT_FOUND", small=False) as it:
        chunks = [chunk async for chunk in it.root.astream({"question": "What does the pump cost?", "collection": "company"})]
        text = "".join(chunk.get("output", "") for chunk in chunks)
        assert "NOT_FOUND" not in text
        assert "does not hold an answer" in text
        assert any(chunk.get("answered") is False for chunk in chunks)


async def test_a_mark_of_no_source_cites_what_was_found_instead(settings, kept):
    async with desk(settings, kept, "Sick pay is continued for six weeks [17].", small=False) as it:
        answer = await it.ask("How long is sick pay continued?")
        assert any("six weeks" in quote for quote in await verified(it, answer))


async def test_a_large_models_mark_on_a_number_that_its_source_does_not_hold_is_no_citation(settings, kept):
    said = "Sick pay is continued for six weeks [1]. In 2019 it was 9 weeks [1]."
    async with desk(settings, kept, said, said.replace("six weeks [1]", "six weeks"), small=False) as it:
        answer = await it.ask("How long is sick pay continued?")
        assert (answer["output"], len(answer["citations"])) == (said, 1)
        assert "six weeks" in answer["citations"][0]["quote"]
        unmarked = await it.ask("How long is sick pay continued?")
        assert all("six weeks" in quote for quote in await verified(it, unmarked))


@pytest.mark.parametrize(
    ("said", "quote"),
    [
        ("Sick pay goes on: it is continued for 6 weeks.", "Sick pay is continued for six weeks."),
        ("No cover is given for damage by frost 【17】.", "Damage by frost is not covered."),
    ],
    ids=["number", "foreign-mark"],
)
async def test_what_a_large_model_says_without_a_mark_is_cited_from_where_it_stands(settings, kept, said, quote):
    async with desk(settings, kept, said, small=False) as it:
        answer = await it.ask("What about the plumber's damage and his sick pay?")
        assert answer["answered"]
        assert quote in await verified(it, answer)


async def test_that_nothing_proves_a_large_models_answer_is_said(settings, kept):
    async with desk(settings, kept, "The plumber earns 900 euros a month [2].", small=False) as it:
        answer = await it.ask("What does the plumber pay for annual leave and sick leave?")
        assert (answer["answered"], answer["citations"]) == (False, [])
        assert "No passage was found" in answer["warnings"][0]


@pytest.mark.parametrize(
    ("question", "said"),
    [("Wie viel wiegt der Kran?", "Die Sammlung „company“"), ("¿Cuánto pesa la grúa?", "La colección «company»")],
)
async def test_that_there_is_no_answer_is_said_in_the_questions_language(settings, kept, question, said):
    async with desk(settings, kept, small=True) as it:
        assert (await it.ask(question))["output"].startswith(said)


@pytest.mark.parametrize("question", ["Wie lange ist sie denn gültig?", "Et combien de temps dure-t-elle ?"])
async def test_a_large_model_rewrites_follow_ups_in_other_languages(settings, kept, question):
    async with desk(settings, kept, "24 months [1].", "How long is the warranty?", "24 months [1].", small=False) as it:
        await it.ask("How long is the warranty of the pump?", session_id="tongues")
        assert (await it.ask(question, session_id="tongues"))["answered"]
        assert question in it.model.prompts[1][-1].text
        assert it.model.prompts[1][-1].text.startswith("Rewrite the last question")


async def test_a_large_model_is_asked_also_where_no_passage_has_all_of_the_question(settings, kept):
    async with desk(settings, kept, "It is lent to nobody.", small=False) as it:
        answer = await it.ask("What does the plumber pay for annual leave and sick leave?")
        assert it.model.prompts
        assert (answer["output"], answer["answered"], answer["citations"]) == ("It is lent to nobody.", False, [])


@pytest.mark.parametrize(
    "question", ["How many days of annual leave do plumbers have?", "What is the weight of the P300 pump?"]
)
async def test_a_question_near_the_point_about_something_else_is_not_answered(settings, kept, question):
    async with desk(settings, kept, "28 days.", small=True) as it:
        answer = await it.ask(question)
        assert (answer["answered"], answer["citations"], it.model.prompts) == (False, [], [])


async def test_what_comes_closest_is_shown_as_it_is_stored_where_nothing_answers(settings, kept):
    async with desk(settings, kept, "28 days.", small=True) as it:
        answer = await it.ask("How many days of annual leave do plumbers have?")
        assert not answer["answered"]
        assert 1 <= len(answer["nearest"]) <= 3
        assert await verified(it, answer | {"citations": answer["nearest"]})


async def test_a_quote_that_the_stored_text_no_longer_holds_is_not_cited(settings, kept):
    async with desk(settings, kept, small=True) as it:
        document = it.documents["leave.md"]
        await it.library.resources.files.put(document.text_key, LEAVE.replace("28", "29").encode(), tenant=document.tenant)
        answer = await it.ask("How many days of annual leave do I have?")
        assert all("28" not in quote for quote in await verified(it, answer))
        assert "28" not in answer["output"]


async def test_a_filter_narrows_what_is_answered_from(settings, kept):
    async with desk(settings, kept, small=True) as it:
        question = "How long is sick pay continued?"
        assert (await it.ask(question, filter={"document": "leave.md"}))["answered"]
        assert not (await it.ask(question, filter={"document": "pump.md"}))["answered"]
        assert "filter" in (await it.ask(question, filter={"document": "other.md"}))["output"]
        assert (await it.ask(question, filter={"or": [{"document": {"contains": "eave"}}, {"page": {"gt": 7}}]}))["answered"]
        assert not (await it.ask(question, filter={"not": {"document": "leave.md"}}))["answered"]


@pytest.mark.parametrize(
    ("value", "said"),
    [({"$gt": 2020}, "is no operator"), ([1], "it is a list"), (None, "it is null")],
    ids=["{}", "[]", "null"],
)
async def test_what_is_no_filter_is_told_what_is_allowed(settings, kept, value, said):
    wrong = {"question": "Who?", "collection": "company", "filter": {"year": value}}
    with pytest.raises(ValidationError) as caught:
        rag.RAGRequest.model_validate(wrong)
    (error,) = caught.value.errors()
    assert error["loc"] == ("filter",)
    async with desk(settings, kept, small=True) as it:
        with pytest.raises(InvalidRequest) as refused:
            await it.root.ainvoke(wrong)
    assert (refused.value.code, refused.value.param) == ("invalid_filter", "filter")
    assert refused.value.message.startswith("“year” of the filter cannot be used: ")
    assert said in refused.value.message


async def test_a_filter_by_what_no_document_has_is_said(settings, kept):
    async with desk(settings, kept, small=True) as it:
        misspelt = await it.ask("How long is sick pay continued?", filter={"docunent": "leave.md"})
        assert "“docunent”" in misspelt["output"]
        assert "“document”" in misspelt["warnings"][0]
        assert (await it.ask("How long is sick pay continued?", filter={"document": "other.md"}))["warnings"] == []


async def test_documents_that_are_still_being_read_are_told_of(settings, kept):
    async with desk(settings, kept, small=True) as it:
        assert (await it.ask("How long is sick pay continued?"))["indexing"] is False
        collection = it.documents["leave.md"].collection_id
        async with kept.database.transaction(all_tenants=True) as session:
            session.add(Document(collection_id=collection, name="travel.md", content_hash="0" * 64, state="queued"))
        answer = await it.ask("How much may a hotel cost?")
        assert (answer["answered"], answer["indexing"], answer["citations"]) == (False, True, [])
        assert "1 document is still being read" in answer["output"]
        assert (await it.ask("How long is sick pay continued?"))["indexing"] is True


async def test_a_follow_up_knows_what_was_asked_before(settings, kept):
    async with desk(settings, kept, "x", "y", small=True) as it:
        await it.ask("What is the maximum flow of the pump?", session_id="one")
        answer = await it.ask("And its weight?", session_id="one")
        assert "18.5 kg" in answer["output"]


async def test_a_long_message_kept_in_a_session_stays_out_of_a_large_models_prompt(settings, kept):
    async with desk(settings, kept, "x", "It is 24 months [1].", small=False) as it:
        before = [
            User(content="flood " * 3000),
            Assistant(content="Yes."),
            User(content="Is it new?"),
            Assistant(content="It is."),
        ]
        await Conversations(kept.database).append(SYSTEM, "long", before)
        assert (await it.ask("How long is the warranty of it?", session_id="long"))["answered"]
        assert len(it.model.prompts) == 2
        assert not any("flood" in message.text for prompt in it.model.prompts for message in prompt)
        assert "Is it new?" in [message.text for message in it.model.prompts[-1]]


async def test_how_long_something_lasted_is_told_by_both_of_its_ends(settings, kept):
    async with desk(settings, kept, "The tram strike lasted until 2004.", small=True) as it:
        text = "# Tram strike\n\nThe tram strike in the harbour lasted from 1998 to 2004, with short breaks."
        await add(it.library, await it.library.collections.get(SYSTEM, "company"), "strike.md", text)
        answer = await it.ask("How long did the tram strike last?")
        assert "from 1998 to 2004" in answer["output"]


async def test_a_session_remembers_which_collection_was_asked(settings, kept):
    async with desk(settings, kept, "x", small=True) as it:
        await it.ask("What is the maximum flow of the pump?", session_id="two")
    async with kept.database.session(all_tenants=True) as session:
        asked = (await session.exec(select(Conversation.collections).where(Conversation.name == "two"))).one()
    assert asked == ["company"]


async def test_what_was_answered_from_a_document_goes_with_it(settings, kept):
    """Of a conversation, and of others that asked it; what stood on another document stays."""
    async with desk(settings, kept, *["x"] * 4, small=True) as it:
        for name in ("gone", "gone too"):
            assert (
                "28 days"
                in (await it.ask("How many days of annual leave do I have?", session_id=name.replace(" ", "-")))["output"]
            )
        await it.ask("What is the maximum flow of the pump?", session_id="gone")
        company = await it.library.collections.get(SYSTEM, "company")
        leave = it.documents["leave.md"]
        await it.library.documents.delete(SYSTEM, company, leave.id)
        assert await it.library.documents.purge(leave)
        places = [one.cited for one in await Conversations(kept.database).recall(SYSTEM, "gone")]
        assert [bool(cited) for cited in places] == [False, False, False, True]
        assert "quote" not in places[3][0]
        pump = await Reopening(it.library, SYSTEM).opened(places[3])
        assert "200 litres" in pump[0].quote
        assert (pump[0].document, pump[0].collection) == ("pump.md", "company")
        other = [{**places[3][0], "start": places[3][0]["start"] + 1}]
        assert await Reopening(it.library, SYSTEM).opened(other) == []  # other content stands there now
        assert await Reopening(it.library, replace(SYSTEM, tenant="acme")).opened(places[3]) == []
    conversations = Conversations(kept.database)
    said = [message.text() for message in await conversations.history(SYSTEM, "gone")]
    assert said[0] == "How many days of annual leave do I have?"
    assert said[1] == WITHHELD
    assert "200 litres" in said[3]
    assert [message.text() for message in await conversations.history(SYSTEM, "gone-too")][1] == WITHHELD
    async with kept.database.session(all_tenants=True) as session:
        left = (await session.exec(select(AnswerSource.document_id))).all()
    assert left == [it.documents["pump.md"].id]


async def test_an_answer_from_a_document_that_is_deleted_meanwhile_is_not_kept(settings, kept):
    conversations = Conversations(kept.database)
    asked = [User(content="How many days?"), Assistant(content="28 days.")]
    await conversations.append(SYSTEM, "late", asked, sources=["doc_unknown"])
    assert [message.text() for message in await conversations.history(SYSTEM, "late")] == ["How many days?", WITHHELD]


async def test_the_stream_adds_up_to_the_answer(settings, kept):
    async with desk(settings, kept, *["Sick pay is continued for six weeks."] * 2, small=True) as it:
        question = {"question": "How long is sick pay continued?", "collection": "company"}
        total = None
        async for chunk in it.root.astream(question):
            total = chunk if total is None else total + chunk
        assert total == await it.root.ainvoke(question)


async def test_an_empty_collection_says_so(settings, kept):
    async with desk(settings, kept, small=True) as it:
        answer = await it.ask("Anything?", collection="empty")
        assert (answer["answered"], answer["citations"]) == (False, [])
        assert "no documents" in answer["output"]


async def test_what_is_not_there_or_no_question_is_refused(settings, kept):
    async with desk(settings, kept, small=True) as it:
        with pytest.raises(NotFound) as missing:
            await it.ask("Anything?", collection="nowhere")
        assert missing.value.code == "collection_not_found"
        with pytest.raises(NotFound) as unknown:
            await it.ask("Anything?", model="nowhere")
        assert unknown.value.code == "model_not_found"
        for wrong in ({"question": " "}, {"question": 5}, {"filter": {"a": [1]}}, {"limit": 0}, {"surprise": 1}):
            with pytest.raises(InvalidRequest):
                await it.root.ainvoke({"question": "x", "collection": "company"} | wrong)


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize(
    ("said", "answered"), [("No.", False), ("**no**", False), ("Yes.", True), ("None of them lies.", True)]
)
async def test_an_alias_of_its_own_grades_what_was_found(tmp_path, kept, small, said, answered):
    settings = Settings.load(data_dir=tmp_path / "graded", chains={"rag": {"grade_model": "default"}})
    async with desk(settings, kept, said, "Sick pay is continued for six weeks [1].", small=small) as it:
        answer = await it.ask("How long is sick pay continued?")
        assert answer["answered"] is answered
        assert ("does not hold an answer" in answer["output"]) is not answered
        assert len(it.model.prompts) == (2 if answered else 1)
        graded = it.model.prompts[0][-1].text
        assert graded.startswith("Do these passages")
        assert "Sick pay is continued for six weeks." in graded


async def test_a_grade_that_cannot_be_had_is_done_without(tmp_path, kept):
    settings = Settings.load(data_dir=tmp_path / "graded", chains={"rag": {"grade_model": "default"}})
    async with desk(settings, kept, small=True) as it:
        answer = await it.ask("I am busy: how long is sick pay continued?")
        assert answer["answered"] is True
        assert "six weeks" in answer["output"]


CONTRACT = """# Contract of the garden shed

The borrower is Henrike Voss. Paulo Mendes repaired the roof on 3 June.

## Withdrawal

Either side may withdraw within sixty days, in writing.
"""


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How long is the withdrawal period?", "sixty days"),  # the measure is told by its number alone
        ("Who is the borrower?", "Henrike Voss"),
        ("Who is the borrower's lender?", None),  # who stands across from somebody is another
        ("How old is Paulo Mendes?", None),  # a day is no age
    ],
)
async def test_measures_counterparts_and_ages(settings, kept, question, expected):
    async with desk(settings, kept, *["I cannot say."] * 2, small=True) as it:
        collection = Collection(name="shed")
        async with kept.database.transaction(all_tenants=True) as session:
            session.add(collection)
        await add(it.library, collection, "shed.md", CONTRACT)
        answer = await it.ask(question, collection="shed")
        assert answer["answered"] is (expected is not None)
        assert expected is None or expected in answer["output"]
