from server.playground import _in_words, _rest

USED = {"model": "m", "provider": "p", "usage": {"input_tokens": 3, "output_tokens": 4}, "cost_usd": 0}
UNUSED = {"model": None, "provider": None, "usage": {"input_tokens": 0, "output_tokens": 0}, "cost_usd": None}


def test_an_answer_ends_with_who_gave_it_and_says_nothing_of_what_is_as_always() -> None:
    final = {"output": "Yes.", "citations": [], "answered": True, "degraded": False, "indexing": False, "warnings": []} | USED
    assert _rest(final, "Yes.") == "\n\n— m at p, 3 + 4 tokens"


def test_an_answer_without_a_model_ends_with_its_last_word() -> None:
    refusal = {"output": "Not there.", "citations": [], "answered": False, "degraded": False, "indexing": True} | UNUSED
    assert _rest(refusal, "Not there.") == "\n\nindexing: true"


def test_what_was_found_in_code_reads_as_a_sentence() -> None:
    findings = [{"line": 2, "severity": "warning", "message": "it may be slow", "source": "model"}]
    assert _in_words(findings) == "• line 2, warning: it may be slow"
    assert _in_words([{"line": 1, "signature": "def f()"}]) == "• line 1: def f()"
    assert _in_words([{"name": "a", "size": 3}]) == "• name a, size 3"
