"""Questions for what is not so (`Which orders have not been shipped?`): a text that says what is so answers the opposite."""

import re

from chains.quotes import Quote

_NOT = r"(?:not|never|no longer|\w+n['’]t|nicht|nie|niemals|kein\w*)"
_ASKED = re.compile(
    rf"^\W*(?:which|who|what|whose|where|how many|welche[rsnm]?|wer|was|wen|wem|wo|wie ?viele)\b[^,;]*?\b{_NOT}\b", re.I
)
#: What comes behind these is no part of what is asked for.
_CONDITION = re.compile(r"\b(?:if|when|because|unless|while|that|wenn|falls|weil|sobald|dass)\b", re.I)
#: What is done about something, or follows from it, is so.
_ABOUT = re.compile(r"^\W*(?:what|was)\b.*\b(?:happens?|do|does it mean|tun|passiert|bedeutet)\b", re.I)
_DENIES = re.compile(
    rf"\b{_NOT}\b|\b(?:no|none|neither|nor|cannot|without|except|unless|only|exclu\w+|exempt\w*|lack\w*|missing|miss\w*|absent|"
    r"fail\w*|refus\w+|reject\w*|forbid\w*|forbidden|prohibit\w*|ban(?:s|ned)?|closed|open|outstanding|pending|unpaid|void|zero|"
    r"un\w{3,}(?:ed|ble)|other than|limited|ohne|außer|nur|ausgenommen|ausgeschlossen|untersagt|verboten|entfällt|fehl\w*|"
    r"abgelehnt|offen|geschlossen|gesperrt|un\w{3,}(?:t|bar|ig))\b|[✗✘]",
    re.I,
)
#: A field of a row that has nothing in it.
_EMPTY = re.compile(
    r":[ \t]*(?:\||,(?=\s)|$)|\|[ \t]*(?:[-–—]|n/a)?[ \t]*\||:[ \t]*(?:[-–—]|n/a|no|none|false|nein|0)[ \t]*(?:\||$)",
    re.I | re.M,
)


def asks_what_is_not(question: str) -> bool:
    """Whether a question asks for what is, does or has something not."""
    asked = _CONDITION.split(question, maxsplit=1)[0]
    return bool(_ASKED.search(asked)) and not _ABOUT.search(asked)


def denies(quote: Quote) -> bool:
    """Whether a quote says of something that it is not so: in words, or by a field that is empty."""
    return bool(_DENIES.search(f"{quote.heading}\n{quote.text}") or (quote.row and _EMPTY.search(quote.text)))
