import json

from retrievers.loaders.json import load_json


def text_of(value: object) -> str:
    return load_json(json.dumps(value).encode(), "").text


def test_every_value_stands_behind_its_path() -> None:
    assert text_of({"a": {"b": [1, 2], "c": None, "d": True}, "l": [{"x": 1.5}, ["y", {"z": 2}]]}) == (
        "a.b: 1, 2\na.d: true\nl[0].x: 1.5\nl[1][0]: y\nl[1][1].z: 2"
    )


def test_records_are_paragraphs_as_a_list_or_as_lines() -> None:
    assert text_of([{"a": "x"}, {"a": "y"}]) == "a: x\n\na: y"
    assert load_json(b'{"a": "x"}\n\n{"a": "y"}\n', "").text == "a: x\n\na: y"


def test_records_that_an_object_holds_are_paragraphs_under_their_path() -> None:
    staff = [{"name": "Ben", "phones": [{"no": 1}]}, {"name": "Cleo"}]
    value = {"data": {"staff": staff}, "tags": [], "company": "Arc", "x" * 400: {"a": [{"p": 1}], "b": [{"q": 2}]}}
    document = load_json(json.dumps(value).encode(), "")
    found = [(section.heading[0][:10], document.text[section.start : section.end]) for section in document.sections[1:]]
    assert document.text.startswith("company: Arc\n\ndata.staff")
    assert found[0] == ("data.staff", "data.staff\n\nname: Ben\nphones[0].no: 1\n\nname: Cleo")
    assert [text.split("\n\n")[1] for _, text in found[1:]] == ["p: 1", "q: 2"]


def test_numbers_stay_as_they_are_spelled() -> None:
    assert load_json(b'{"a": 1.500, "b": 123456789012345678901234567890, "c": 1e999}', "").text == (
        "a: 1.500\nb: 123456789012345678901234567890\nc: 1e999"
    )


def test_lone_surrogates_and_nul_are_gone() -> None:
    assert load_json(b'{"a": "x\\ud800y\\u0000z"}', "").text == "a: x\ufffdyz"


def test_what_is_not_quite_json_is_read_as_code() -> None:
    document = load_json(b'{"a": 1, // comment\n}', "a.json")
    assert document.sections[0].kind == "code"
    assert "comment" in document.text


def test_a_notebook_gives_its_words_and_its_code_but_no_outputs() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "words"]},
        {"cell_type": "code", "source": "x = 1", "outputs": [{"text": "noise"}]},
    ]
    document = load_json(json.dumps({"nbformat": 4, "cells": cells, "metadata": {}}).encode(), "a.ipynb")
    found = [(s.kind, s.heading, document.text[s.start : s.end]) for s in document.sections]
    assert found == [("prose", ("Title",), "Title\n\nwords"), ("code", ("Title",), "x = 1")]
