"""What people call programming languages, and which one they mean: the one place that says so."""

import re

from chains.code.languages import known

#: The name of a grammar ← what people write, in small letters and without spaces; a spelling that is the grammar's own, or that
#: only adds a version to one, need not be here.
_SPELLINGS = {
    "asm": "assembly assembler nasm x86assembly",
    "bash": "sh shell zsh ksh",
    "c": "h ansic",
    "clojure": "clj",
    "commonlisp": "lisp",
    "cpp": "c++ cxx cc hpp gnu++ cplusplus c/c++",
    "csharp": "c# cs",
    "dockerfile": "docker",
    "elisp": "emacslisp",
    "elixir": "ex exs",
    "erlang": "erl",
    "fortran": "f77 f90 f95",
    "fsharp": "f# fs",
    "go": "golang",
    "haskell": "hs",
    "html": "htm xhtml html/css",
    "java": "jdk openjdk",
    "javascript": "js node node.js nodejs jsx mjs cjs es ecmascript",
    "julia": "jl",
    "kotlin": "kt kts",
    "latex": "tex",
    "make": "makefile gnumake",
    "markdown": "md",
    "objc": "objectivec",
    "ocaml": "ml",
    "pascal": "delphi objectpascal freepascal turbopascal",
    "perl": "pl",
    "powershell": "ps1 pwsh",
    "proto": "protobuf protocolbuffers",
    "python": "py cpython micropython",
    "ruby": "rb",
    "rust": "rs",
    "sql": "postgresql postgres mysql mariadb sqlite",
    "terraform": "tf",
    "typescript": "ts mts cts js/ts javascript/typescript",
    "verilog": "systemverilog",
    "vim": "vimscript viml",
    "vue": "vue.js vuejs",
    "yaml": "yml",
}
_MEANT = {said: meant for meant, spelt in _SPELLINGS.items() for said in spelt.split()}
#: A version, and what may stand between it and the name: `Python 3.11`, `C++17`, `HTML5`, `Rust (edition 2021)`, `ES2015+`.
_VERSION = re.compile(r"[\s_(-]*(?:\b(?:version|edition|release)\b|\bv|\br(?=\d{4})|(?<=[\s(])es)?[\s.]*\d[\w.]*\+?\)?$")
#: Another language than the one without the figure.
_NO_VERSION = re.compile(r"json[ -]?5|perl[ -]?6|[dp]\d\.?js|r\d+rs")
#: The Python that the parser of today's does not read.
_PYTHON_2 = re.compile(r"py(?:thon)?[\s_-]*v?2(?:[.\d x]*)")
#: Words beside a language's name that do not change which one is meant.
_BESIDE = re.compile(
    r"\b(?:programming|language|lang|code|source|scripts?|query|queries|the|plain|vanilla|modern|standard(?! ml)|ansi|iso|gnu|"
    r"posix|bourne|visual(?= c)|se|ee|edition|version)\b"
)


def canonical(name: str) -> str:
    """The usual name: `py`, `Python 3.11` → `python`; `python2` for Python 2. A name that nobody knows stays as it is, in small
    letters."""
    plain = " ".join(name.lower().split()).removeprefix(".")
    if _PYTHON_2.fullmatch(plain):
        return "python2"
    return next((meant for said in _readings(plain) if (meant := _meant(said))), plain)


def without_version(name: str) -> str:
    """The name without the version behind it, where one is."""
    return name if _NO_VERSION.fullmatch(name) else _VERSION.sub("", name)


def _readings(plain: str) -> list[str]:
    """What a name may say, the nearest to what was written first."""
    bare = " ".join(_BESIDE.sub(" ", plain).split())
    return [
        plain,
        bare,
        without_version(plain),
        without_version(bare),
        " ".join(_BESIDE.sub(" ", without_version(plain)).split()),
    ]


def _meant(said: str) -> str | None:
    for spelt in (said, re.sub(r"[\s_-]+", "", said)):
        if meant := _MEANT.get(spelt):
            return meant
        if spelt in known():
            return spelt
    return None
