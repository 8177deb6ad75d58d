"""Programming languages: which have a grammar, and which one a piece of code is written in."""

import re
from functools import cache

#: Signs of a language, the surest first.
_SIGNS = (
    ("php", r"<\?php"),
    ("html", r"(?i)<!doctype html|<html\b"),
    ("bash", r"^#!.*\b(ba|z|k)?sh\b"),
    ("python", r"^#!.*\bpython"),
    ("cpp", r"#include\s*<(iostream|vector|string|memory|map)>|\bstd::|\btemplate\s*<"),
    ("c", r"#include\s*[<\"]"),
    ("json", r"\A\s*(?:\[\s*)*\{\s*\"(?:[^\"\\\n]|\\.)*\"\s*:"),
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
        r"^\s*def\s+\w+\s*\(|^\s*class\s+\w+.*:\s*$|^\s*(from\s+[\w.]+\s+)?import\s+\w+|^\s*print\(|^\s*(if|elif|for|while|with|except)\b.*:\s*$|^\s*(try|else|finally):\s*$",
    ),
    ("python", r"^\s*print\s+['\"][^;\n]*$"),
    ("ruby", r"\bputs\b|^\s*end\s*$"),
    ("sql", r"(?i)^\s*(select|insert|update|delete|create|alter|with)\b.*\b(from|into|table|set|as|values)\b"),
    ("bash", r"^\s*(echo|export|cd|sudo|apt|curl)\b|\$\{?\w+\}?|\bfi\b|\bdone\b|^\s*if \[|;\s*(?:then|do)\s*$"),
)

#: Tried in this order on code that shows no sign: what parses as an earlier one is hardly ever meant as a later one.
#: Go's takes Python for labels and calls, and has a sign wherever it is a program.
_WITHOUT_SIGNS = ("python", "javascript", "typescript", "java", "csharp", "c", "cpp", "rust")

#: Longer code, which takes long to mend, is told by its signs alone.
_MOST_MENDED = 10_000


@cache
def known() -> frozenset[str]:
    """Every language with a grammar. That of Python reads the older one as well, which is `python2` here."""
    from typing import get_args

    from tree_sitter_language_pack import SupportedLanguage

    return frozenset(get_args(SupportedLanguage)) | {"python2"}


def detect(code: str) -> str | None:
    """The language that code seems to be written in: by its signs, by what parses, and by what lacks little for that; None when
    nothing tells."""
    from chains.code.mending import mended
    from chains.code.syntax import problems

    signs: dict[str, None] = dict.fromkeys(name for name, sign in _SIGNS if re.search(sign, code, re.MULTILINE))
    others: tuple[str, ...] = _WITHOUT_SIGNS if re.search(r"[{};=()]", code) else ()
    name: str
    if "json" in signs and len(code) <= _MOST_MENDED and re.search(r"[\]}]\s*$", code) and mended(code, "json") is not None:
        return "json"
    for name in (*signs, *others):
        if not problems(code, name):
            return name
    if len(code) <= _MOST_MENDED and (len(signs) > 1 or (not signs and re.search(r"[{}\[\];=]", code))):
        for name in signs or _WITHOUT_SIGNS[:2]:
            if mended(code, name) is not None:
                return name
    return next(iter(signs), None)
