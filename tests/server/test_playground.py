from chains.chat import SPEC as CHAT
from chains.multimodal import SPEC as MULTIMODAL
from server.playground import _in_words, _rest, from_form

USED = {"model": "m", "provider": "p", "usage": {"input_tokens": 3, "output_tokens": 4}, "cost_usd": 0}
UNUSED = {"model": None, "provider": None, "usage": {"input_tokens": 0, "output_tokens": 0}, "cost_usd": None}


def test_an_answer_ends_with_who_gave_it_and_says_nothing_of_what_is_as_always() -> None:
    final = {"output": "Yes.", "citations": [], "answered": True, "degraded": False, "indexing": False, "warnings": []} | USED
    assert _rest(final, "Yes.") == "\n\n— m at p, 3 + 4 tokens"


def test_an_answer_without_a_model_ends_with_its_last_word() -> None:
    refusal = {"output": "Not there.", "citations": [], "answered": False, "degraded": False, "indexing": True} | UNUSED
    assert _rest(refusal, "Not there.") == "\n\nindexing: true"


def test_what_comes_closest_is_shown_under_a_refusal_as_what_it_is() -> None:
    place = {"document": "a.md", "document_id": "doc_1", "page": None, "start": 0, "end": 9, "quote": "It is so."}
    refusal = {"output": "Not there.", "citations": [], "answered": False, "nearest": [place]} | UNUSED
    assert _rest(refusal, "Not there.") == "\n\nClosest in the collection, which may not answer it:\n[1] a.md: “It is so.”"


def test_what_was_found_in_code_reads_as_a_sentence() -> None:
    findings = [{"line": 2, "severity": "warning", "message": "it may be slow", "source": "model"}]
    assert _in_words(findings) == "• line 2, warning: it may be slow"
    assert _in_words([{"line": 1, "signature": "def f()"}]) == "• line 1: def f()"
    assert _in_words([{"name": "a", "size": 3}]) == "• name a, size 3"


FILES = {
    "properties": {
        "text": {"type": "string"},
        "images": {"type": "array", "items": {"type": "string"}, "extra": {"widget": {"type": "base64file"}}},
        "documents": {"type": "array", "items": {"type": "object"}, "extra": {"widget": {"type": "base64file"}}},
    }
}


def test_an_empty_file_that_was_picked_takes_the_place_of_the_sample() -> None:
    form = {"text": "What is this?", "images": MULTIMODAL.example["images"][0], "documents": ""}
    assert from_form(MULTIMODAL, FILES, form) == {"text": "What is this?", "documents": [{"data": ""}]}


def test_a_text_field_that_is_empty_and_a_file_that_was_not_picked_are_left_out() -> None:
    assert from_form(MULTIMODAL, FILES, {"text": "", "images": None}) == {}


def test_a_refused_message_and_its_refusal_are_not_sent_on() -> None:
    hello, reply, again = (
        {"type": kind, "content": said} for kind, said in (("human", "Hi"), ("ai", "Hello."), ("human", "Bye"))
    )
    long = {"type": "human", "content": "word " * 9000}
    refusal = {"type": "ai", "content": "⚠ The prompt is too long. (context_length_exceeded)"}
    broken = {"type": "ai", "content": "It is\n\n⚠ The model did not answer. (provider_failed)"}
    messages = [hello, reply, long, refusal, long, broken, again]
    assert from_form(CHAT, {}, {"messages": messages}) == {"messages": [hello, reply, again]}


def test_a_reply_that_speaks_of_a_warning_is_kept() -> None:
    messages = [{"type": "human", "content": "Hi"}, {"type": "ai", "content": "⚠ marks a warning (in code)."}]
    assert from_form(CHAT, {}, {"messages": messages}) == {"messages": messages}
