import pytest

from chains.code.languages import known
from chains.code.spellings import canonical

SAID = {
    "python": ["py", "Python 3", "Python 3.11", "python3", "Python (3.12)", "Python v3", ".py", "python script"],
    "python2": ["Python 2.7", "python2"],
    "javascript": [
        " JS ",
        "Node.js",
        "Node.js 20",
        "node",
        "ES6",
        "ES2015+",
        "ECMAScript 2020",
        "JavaScript (ES6)",
        "Vanilla JS",
    ],
    "typescript": ["TS", "TypeScript 5.x"],
    "cpp": ["C++", "C++17", "c++ 20", "C++0x", "C plus plus", "C/C++", "Visual C++"],
    "c": ["C", "c99", "C17", "ANSI C"],
    "csharp": ["C#", "C# 12", "C Sharp"],
    "java": ["Java 17", "Java SE 17"],
    "html": ["HTML5"],
    "go": ["Golang", "Go lang", "Go 1.21", "the Go programming language"],
    "rust": ["Rust", "Rust 2021", "Rust (edition 2021)"],
    "objc": ["Objective-C", "objective c"],
    "r": ["R", "R 4.3"],
    "bash": ["shell script", "sh"],
    "sql": ["PostgreSQL 15", "sqlite3"],
    "matlab": ["MATLAB R2023b"],
    "verilog": ["System Verilog"],
}
PAIRS = [(said, meant) for meant, spellings in SAID.items() for said in spellings]


@pytest.mark.parametrize(("said", "meant"), PAIRS, ids=[said for said, _ in PAIRS])
def test_a_language_is_known_by_what_people_call_it(said: str, meant: str) -> None:
    assert canonical(said) == meant
    assert meant in known()


@pytest.mark.parametrize("said", ["Brainfuck", "VB.NET", "PL/SQL", "JSON5", "Perl 6", "base64", "3"])
def test_a_language_that_nobody_knows_keeps_its_name(said: str) -> None:
    assert canonical(said) == said.lower()


@pytest.mark.parametrize("language", sorted(known()))
def test_the_name_of_a_grammar_means_that_grammar(language: str) -> None:
    assert canonical(language) == language
