"""Programming languages: the names that people use for them, and which one a piece of code is written in."""

import re
from functools import cache

#: What people write → the name of the grammar.
_ALIASES = {
    "py": "python",
    "python3": "python",
    "js": "javascript",
    "node": "javascript",
    "jsx": "javascript",
    "ts": "typescript",
    "c++": "cpp",
    "cxx": "cpp",
    "c#": "csharp",
    "cs": "csharp",
    "golang": "go",
    "rs": "rust",
    "rb": "ruby",
    "sh": "bash",
    "shell": "bash",
    "zsh": "bash",
    "kt": "kotlin",
    "yml": "yaml",
    "tf": "terraform",
    "ps1": "powershell",
    "objective-c": "objc",
    "f#": "fsharp",
    "postgresql": "sql",
    "mysql": "sql",
    "sqlite": "sql",
    "docker": "dockerfile",
    "makefile": "make",
}

#: Signs of a language, the surest first.
_SIGNS = (
    ("php", r"<\?php"),
    ("html", r"(?i)<!doctype html|<html\b"),
    ("bash", r"^#!.*\b(ba|z|k)?sh\b"),
    ("python", r"^#!.*\bpython"),
    ("cpp", r"#include\s*<(iostream|vector|string|memory|map)>|\bstd::|\btemplate\s*<"),
    ("c", r"#include\s*[<\"]"),
    ("rust", r"\bfn\s+\w+\s*(<[^>]*>)?\(|\blet\s+mut\b|\bimpl\b.*\{|println!\("),
    ("go", r"^package\s+\w+|\bfunc\s+(\(\w+ [^)]*\)\s*)?\w+\(|:=\s"),
    ("csharp", r"\busing\s+System\b|\bnamespace\s+[\w.]+|Console\.Write"),
    ("c", r"^\s*(static\s+|inline\s+)*(int|void|char|double|float|long)\s*\*?\s*\w+\s*\([^)]*\)\s*\{"),
    ("java", r"\bpublic\s+(static\s+)?(class|void|interface|int|String)\b|System\.out\.|\bimport\s+java"),
    ("kotlin", r"\bfun\s+\w+\s*\(|\bval\s+\w+\s*[:=]"),
    ("typescript", r"\binterface\s+\w+\s*\{|:\s*(string|number|boolean)\b\s*[;,)=]|\benum\s+\w+\s*\{"),
    ("javascript", r"\b(const|let|var)\s+\w+\s*=|=>|\bfunction\b\s*\w*\s*\(|console\.log|require\("),
    (
        "python",
        r"^\s*def\s+\w+\s*\(|^\s*class\s+\w+.*:\s*$|^\s*(from\s+[\w.]+\s+)?import\s+\w+|^\s*print\(|^\s*(if|for|while|with)\b.*:\s*$",
    ),
    ("ruby", r"\bputs\b|^\s*end\s*$"),
    ("sql", r"(?i)^\s*(select|insert|update|delete|create|alter|with)\b.*\b(from|into|table|set|as|values)\b"),
    ("bash", r"^\s*(echo|export|cd|sudo|apt|curl)\b|\$\{?\w+\}?|\bfi\b|\bdone\b"),
)

#: Tried in this order on code that shows no sign: what parses as an earlier one is hardly ever meant as a later one.
_WITHOUT_SIGNS = ("python", "javascript", "typescript", "java", "csharp", "c", "cpp", "go", "rust")


@cache
def known() -> frozenset[str]:
    """Every language with a grammar."""
    from typing import get_args

    from tree_sitter_language_pack import SupportedLanguage

    return frozenset(get_args(SupportedLanguage))


def canonical(name: str) -> str:
    """The usual name: `py` → `python`. A name that nobody knows stays as it is, in lower case."""
    plain = name.strip().lower().removeprefix(".")
    return _ALIASES.get(plain, plain)


def detect(code: str) -> str | None:
    """The language that code seems to be written in, by its signs and by what parses; None when nothing tells."""
    from chains.code.syntax import problems

    signs: dict[str, None] = dict.fromkeys(name for name, sign in _SIGNS if re.search(sign, code, re.MULTILINE))
    others: tuple[str, ...] = _WITHOUT_SIGNS if re.search(r"[{};=()]", code) else ()
    name: str
    for name in (*signs, *others):
        if not problems(code, name):
            return name
    return next(iter(signs), None)
