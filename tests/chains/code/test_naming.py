import pytest

from chains.code.languages import known
from chains.code.naming import _SENSES, named, named_to_write_in
from chains.code.spellings import canonical

ASKED = [
    ("Write a Rust function that doubles a number", "rust"),
    ("print hello world in bash", "bash"),
    ("hello world in C", "c"),
    ("hello world in c", "c"),
    ("Hello world in Go.", "go"),
    ("A function in C that reverses a string", "c"),
    ("write a go program", "go"),
    ("a hello world in C++17", "cpp"),
    ("Use C# please", "csharp"),
    ("an R script that plots x", "r"),
    ("an Objective-C method", "objc"),
    ("A SQL query that counts users", "sql"),
    ("An HTML page with a form", "html"),
    ("A Python function that runs a SQL query", "python"),
    ("Translate this Python function to Rust", "rust"),
    ("Write a JavaScript function that adds two numbers", "javascript"),
    ("in python3 please", "python"),
    ("a linked list in C99", "c"),
]
NOT_ASKED = [
    "Go through the list and add one",
    "how far does it go?",
    "read in r bytes and go on",
    "the values in column C",
    "Remove the rust from the iron",
    "A function that runs a SQL query",
    "A function that parses JSON",
    "A JSON parser",
    "Convert a list to JSON",
    "a node of a tree",
    "A function that adds two numbers",
    "C-like comments, and a .go file",
]


@pytest.mark.parametrize(("instruction", "language"), ASKED, ids=[said for said, _ in ASKED])
def test_an_instruction_names_its_language(instruction: str, language: str) -> None:
    assert named(instruction) == language


@pytest.mark.parametrize("instruction", NOT_ASKED)
def test_a_word_that_is_a_languages_name_too_is_not_taken_for_it(instruction: str) -> None:
    assert named(instruction) is None


def test_in_a_language_leaves_no_doubt_where_its_mere_name_does() -> None:
    assert named_to_write_in("Add what it lacks, in Rust") == "rust"
    assert named_to_write_in("Call it from Rust") is None


def test_every_name_is_of_a_language_that_can_be_parsed() -> None:
    assert {canonical(name) for name in _SENSES} <= known()
