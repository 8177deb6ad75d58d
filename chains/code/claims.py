"""What a small model says of code, held against the code: a sentence that names or claims what is not in it is left out."""

import re

from chains.code.spellings import canonical

_FENCED = re.compile(r"^[ \t]*```.*?(?:^[ \t]*```[ \t]*$|\Z)", re.M | re.S)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"*-])")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_SPAN = re.compile(r"`([^`]+)`")
#: What is a name of a program, or a mark of one, also without quotes round it.
_NAMED = re.compile(r"\b(?:[A-Za-z]\w*_\w+|[a-z]+[A-Z]\w*|[A-Za-z_][\w.]*(?=\(\)))")
_MARK = re.compile(r"\*\*|//|==|!=|<=|>=|&&|\|\||=>|->|\+\+|\+=|-=|%")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w])")
_LANGUAGES = re.compile(
    r"(?<![\w/])(?:Python|Java|JavaScript|TypeScript|typeScript|Ruby|Rust|Kotlin|Swift|PHP|Perl|Haskell|Golang|SQL|Bash|C\+\+|C#)(?![\w+#])"
)
_KIND = re.compile(r"\b(function|class) `?(\w+)", re.I)
#: How many arguments something is said to take, and the definitions that tell.
_TAKES = re.compile(r"\b(no|one|a single|two|three|four|five)\s+(?:\w+\s+)?(?:arguments?|parameters?)\b", re.I)
_COUNTS = {"no": 0, "one": 1, "a single": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_SIGNATURE = re.compile(r"\b(?:def|function|func|fun|fn)\s+\w+\s*(?:<[^>()]*>)?\(([^()]*)\)")
_NEVER = r"(?!)"
#: What small models like to claim, and what the code must have for it.
_CLAIMS = tuple(
    (re.compile(claim, re.I), re.compile(sign))
    for claim, sign in (
        (r"\blambda|anonymous|arrow function", r"lambda|=>|->|\|\w*\||\bfn\b"),
        (r"\bloop|iterat|for each|each (?:item|element)", r"\bfor\b|while|map|[eE]ach|loop|reduce"),
        (r"nested|inner loop|outer loop", r"(?s)\b(?:for|while)\b.*\b(?:for|while)\b"),
        (r"\bclass\b|\binstance|object-oriented|constructor", r"class|struct|impl|interface|\bnew\b"),
        (r"\bsort|\border(?:s|ed|ing)?\b", r"(?i)sort|order"),
        (r"exception|\berror|\brais|\bthrow|\bfail", r"(?i)raise|throw|\btry|catch|except|error|assert|panic|\bErr"),
        (r"dynamic programming|\bcache|memoi", r"(?i)cache|memo|\bdp\b"),
        (r"\binteger|\bint\b", r"\d|\bint|\blen|number|[iu](?:8|16|32|64)|long|count"),
        (r"\bstring|\btext\b", r"[\"'`]|(?i:str|char|text)"),
        (r"\blist|\barray", r"\[|(?i:list|vec|array|items)"),
        (r"dictionar|hash", r"\{|(?i:dict|map|hash)"),
        (r"\bfile", r"(?i)open|file|read|path"),
        (r"\bprint|\bdisplay", r"(?i)print|echo|puts|log|write|cout|display"),
        (r"\beven\b|\bodd\b|\bremainder|modul(?:o|us)", r"%|(?i:even|odd|mod)|& ?1"),
        (r"\bdivi[sd]|quotient", r"/|(?i:div)"),
        (r"\bmultipl|\bproduct|\bsquare", r"\*|(?i:mul|prod|squar|pow)"),
        (r"\bsubtract|\bminus", r"-|(?i:sub)"),
        (r"\bsum\b|\badd(?:s|ed|ing)?\b", r"\+|(?i:sum|add|push|append|insert)"),
        (r"\bimport|\blibrar", r"import|require|\buse\b|include|using"),
        (r"factorial", r"(?i)fact"),
        (r"fibonacci", r"(?i)fib"),
        (r"\bprime", r"(?i)prime"),
        (r"random", r"(?i)rand"),
        (r"database|\bquer(?:y|ies)", r"(?i)select|insert|update|delete|query|execute|\bdb\b"),
        (r"\basync|promise", r"(?i)async|await|promise|then"),
        (r"maxim|minim|largest|smallest", r"(?i)max|min|heap|<|>|large|small"),
        (r"greater|less than|at least|at most", r"<|>"),
        (r"\bnone\b|\bnull\b|\bnil\b", r"None|null|nil|undefined|NULL"),
        (r"\b(?:true|false)\b", r"[=<>!]=|[<>]|(?i:true|false|bool|\bnot\b|\bin\b|\band\b|\bor\b|is)|&&|!"),
        (r"\botherwise|\bif\b", r"\bif\b|else|\?|when|match|case|switch|while|where|having|WHERE|HAVING"),
        (r"optimi[sz]|efficien|performan|best practice|you can use|you can call|for example|example of", _NEVER),
    )
)


def borne_out(said: str, code: str, language: str, *, recursive: bool) -> str:
    """The sentences that name nothing which the code has not, and do not just repeat it. Code in the words is left out,
    whatever it shows. Whether something in the code calls itself is `recursive`."""
    kept: list[str] = []
    told: set[str] = set()
    for line in _FENCED.sub("", said).splitlines():
        bullet = _BULLET.match(line)
        words = line[bullet.end() :] if bullet else line.strip()
        sentences = [
            one for one in _SENTENCE.split(words.strip()) if one and one not in told and _fits(one, code, language, recursive)
        ]
        told.update(sentences)
        if sentences:
            kept.append(("- " if bullet else "") + " ".join(sentences))
    return "\n".join(kept)


def _fits(sentence: str, code: str, language: str, recursive: bool) -> bool:
    if sentence.rstrip("*").endswith(":") or len(re.findall(r"[^\W\d]+", sentence)) < 3:
        return False
    close = re.sub(r"\s", "", code)
    spans = [re.sub(r"\s|\(\)$", "", span) for span in _SPAN.findall(sentence)]
    if any(span not in close for span in spans):
        return False
    if re.sub(r"\s", "", sentence) in close or any(_is_other_kind(kind, name, code) for kind, name in _KIND.findall(sentence)):
        return False
    taken = {_parameters(given) for given in _SIGNATURE.findall(code)}
    if taken and any(_COUNTS[said.lower()] not in taken for said in _TAKES.findall(sentence)):
        return False
    plain = _SPAN.sub(" ", sentence)
    words = set(re.findall(r"\w+", code))
    if any(part not in words for name in _NAMED.findall(plain) for part in name.split(".")):
        return False
    if any(mark not in code for mark in _MARK.findall(plain)) or any(number not in words for number in _NUMBER.findall(plain)):
        return False
    if any(canonical(name) != language for name in _LANGUAGES.findall(plain)):
        return False
    if re.search(r"\brecurs|calls itself", plain, re.I) and not recursive:
        return False
    if re.search(r"\bfunction", plain, re.I) and not re.search(
        r"\b(?:def|function|func|fun|fn|lambda|sub|proc)\b|=>|\w\s*\([^)]*\)\s*\{", code
    ):
        return False
    return all(sign.search(code) for claim, sign in _CLAIMS if claim.search(sentence))


def _is_other_kind(kind: str, name: str, code: str) -> bool:
    """Whether a class is called a function, or the other way round."""
    is_class = re.search(rf"\b(?:class|struct|interface|enum)\s+{name}\b", code)
    is_function = re.search(rf"\b(?:def|function|func|fun|fn)\s+{name}\b", code)
    return bool(is_class if kind.lower() == "function" else is_function)


def _parameters(given: str) -> int:
    """How many there are, without the object that a method is called on."""
    names = [one.strip() for one in given.split(",") if one.strip()]
    return len([one for one in names if not re.fullmatch(r"&?(?:mut )?(?:self|cls)|\*|/", one)])
