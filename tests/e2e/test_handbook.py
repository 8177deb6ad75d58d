"""The handbook answers what the product itself shows as a question, and what newcomers ask first; with the real model."""

import httpx
import pytest

pytestmark = pytest.mark.one_database

#: The question (front page, README, quickstart and the capability show the first four; newcomers ask the others), and what a
#: cited quote holds.
QUESTIONS = {
    "How do I add documents to a collection?": "make ingest",
    "What survives a crash?": "202",
    "What is a citation?": "quoted text",
    "Which databases can the platform use?": "PostgreSQL",
    "Which Python versions are supported?": "3.11, 3.12 and 3.13",
    "What Python version do I need?": "3.11, 3.12",
    "What do I need to install first?": "git and make",
    "How do I run the tests?": "make test",
    "Can I serve it on all interfaces?": "0.0.0.0",
    "How do I change the port?": "GENAI_PORT",
    "How can I set the port of the platform?": "GENAI_PORT",
    "How do I change the address?": "GENAI_HOST",
    "How do I delete a collection?": "DELETE /api/v1/rag/collections",
    "How do I list collections?": "GET /api/v1/rag/collections",
    "How do I rename a collection?": "cannot be renamed",
    "How do I change the log level?": "GENAI_LOG__LEVEL",
    "How do I change the context length?": "GENAI_LOCAL__CONTEXT_TOKENS",
    "What is the maximum number of inputs in a batch?": "GENAI_LIMITS__BATCH",
    "How do I use OpenAI instead of the local model?": "OPENAI_API_KEY",
    "How do I use OpenAI?": "set `OPENAI_API_KEY`",
    "How do I stop the server?": "Ctrl-C",
    "How do I stop the platform?": "Ctrl-C",
    "Which file types can I upload?": "Word (docx)",
    "Which file formats can be ingested?": "Word (docx)",
    "How do I upload a PDF?": "ingest report.pdf",
    "How do I add a PDF?": "ingest report.pdf",
    "How do I ingest a folder?": "make ingest DIR=folder COLLECTION=name",
    "How large may a file be?": "64 MiB",
    "How do I make a new API key?": "genai keys create",
    "How do I revoke a key?": "genai keys revoke",
    "How do I rotate an API key?": "genai keys rotate",
    "How do I change the model?": "GENAI_LOCAL__CHAT_MODEL",
    "Which embedding model is used?": "all-MiniLM-L6-v2",
    "Which models are supported?": "any GGUF file",
    "How do I set a budget?": "POST /api/v1/budgets",
    "What does the code capability do?": "translates it into another language",
    "wie starte ich den server?": "make run",
}
UNANSWERED = (
    "What is the phone number of support?",
    "How do I fine-tune the SmolLM2 model here?",
    "Who founded the company?",
    "Who is the captain of the Titanic?",
    "How do I change the colours of the front page?",
    "How do I merge two collections?",
)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_that_people_ask_first_is_answered_from_the_handbook(client: httpx.Client, question: str) -> None:
    answer = client.post("/api/v1/rag", json={"question": question, "collection": "handbook"}).raise_for_status().json()
    assert answer["answered"], answer["output"]
    assert QUESTIONS[question] in " ".join(" ".join(one["quote"] for one in answer["citations"]).split())


@pytest.mark.parametrize("question", UNANSWERED)
def test_a_question_that_the_handbook_does_not_answer_is_refused(client: httpx.Client, question: str) -> None:
    answer = client.post("/api/v1/rag", json={"question": question, "collection": "handbook"}).raise_for_status().json()
    assert (answer["answered"], answer["citations"]) == (False, []), answer["output"]
