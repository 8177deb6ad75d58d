"""Code without what its texts and remarks say: the marks that are left are the program's own."""

import re

_TEXTS = r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`"
_SLASHES = re.compile(rf"{_TEXTS}|//[^\n]*|/\*.*?\*/", re.S)
_HASHES = re.compile(rf"\"\"\".*?\"\"\"|'''.*?'''|{_TEXTS}|(?<![^\s;(){{}}\[\],])#[^\n]*", re.S)
_DASHES = re.compile(rf"{_TEXTS}|--\[\[.*?\]\]|--[^\n]*|/\*.*?\*/", re.S)
#: A quote that is a lifetime or a character's in Rust is no text's begin.
_RUST = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\\n])'|//[^\n]*|/\*.*?\*/", re.S)
_BY_LANGUAGE = {
    **dict.fromkeys(("python", "python2", "ruby", "bash", "perl", "r", "yaml", "make", "elixir", "julia", "toml"), _HASHES),
    **dict.fromkeys(("lua", "sql", "haskell", "ada"), _DASHES),
    "rust": _RUST,
}


def bare(code: str, language: str) -> str:
    """The code with spaces in place of its remarks, and of what is between quotes: every other character stays where it was."""
    return _BY_LANGUAGE.get(language, _SLASHES).sub(lambda found: _blank(found[0]), code)


def _blank(text: str) -> str:
    """Spaces, and the quotes of a text at its ends."""
    spaces = re.sub(r"[^\n]", " ", text)
    return text[0] + spaces[1:-1] + text[-1] if text[0] in "\"'`" else spaces
