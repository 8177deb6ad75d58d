"""Structured identifiers: recognised by form, proved by checksum where there is one, else by a word in front of them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from ipaddress import ip_address

from core.redaction.entities import Entity, PIIType

_AROUND = 48


def find(text: str) -> Iterator[Entity]:
    """The identifiers of a text: e-mail, web, network, card, bank and national numbers, and numbers that the text names."""
    yield from _addresses(text)
    yield from _networks(text)
    yield from _wallets(text)
    yield from _cards(text)
    yield from _accounts(text)
    for form in _FORMS:
        yield from form.find(text)
    yield from _named(text)


# --- e-mail and web

_EMAIL = re.compile(
    r"(?<![\w.!#$%&'*+/=?^`{|}~-])[\w!#$%&'*+/=?^`{|}~-]{1,64}(?:\.[\w!#$%&'*+/=?^`{|}~-]{1,64}){0,6}@"
    r"(?:\[[\d.:a-fA-F]{3,45}\]|(?P<host>[^\W_](?:[\w-]{0,61})?(?:\.[^\W_](?:[\w-]{0,61})?){1,6}))"
)
_URL = re.compile(r"(?i)(?<![\w@])(?:https?|ftps?|wss?)://[^\s<>\"'`{}|\\^]{3,2000}|\bwww\.[^\s<>\"'`{}|\\^]{3,2000}")
_HOST = re.compile(
    r"(?<![\w@./:-])(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.){1,6}[a-zA-Z]{2,18}(?:/[^\s<>\"'`]{0,500})?(?![\w@-])"
)
_TRAILING = ".,;:!?)]}'\"*"
#: Endings of files that are also top-level domains: `notes.md`, `run.sh`.
_FILES = frozenset({"md", "py", "sh", "rs", "pl", "zip", "mov", "cc", "ps", "so", "ml", "am", "la", "app", "java", "name"})


def _addresses(text: str) -> Iterator[Entity]:
    if "@" in text:
        for match in _EMAIL.finditer(text):
            host = match["host"]
            score = 1.0 if host is None or _has_suffix(host) else 0.6
            yield Entity(PIIType.EMAIL_ADDRESS, *match.span(), score)
    for match in _URL.finditer(text):
        url = match[0].rstrip(_TRAILING)
        yield Entity(PIIType.URL, match.start(), match.start() + len(url), 0.95)
    if "." in text:
        for match in _HOST.finditer(text):
            host, _, path = match[0].partition("/")
            last = host.rsplit(".", 1)[-1].lower()
            if (last in _FILES and not path) or not host.islower() or not _has_suffix(host):
                continue
            yield Entity(PIIType.URL, match.start(), match.start() + len(match[0].rstrip(_TRAILING)), 0.6)


@cache
def _suffixes() -> Callable[[str], object]:
    """The public-suffix list that tldextract carries: nothing is fetched, nothing written."""
    import tldextract

    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


def _has_suffix(host: str) -> bool:
    found = _suffixes()(host)
    return bool(getattr(found, "suffix", "")) and bool(getattr(found, "domain", ""))


# --- networks and wallets

_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?(?![\w]|\.\d)")
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[0-9a-fA-F:]{0,30}:[0-9a-fA-F:])[0-9a-fA-F:]{2,39}(?:(?:\d{1,3}\.){3}\d{1,3})?(?:%\w{1,15})?"
    r"(?:/\d{1,3})?(?![\w:])"
)
_MAC = re.compile(r"(?<![\w:-])(?:[0-9a-fA-F]{2}([:-]))(?:[0-9a-fA-F]{2}\1){4}[0-9a-fA-F]{2}(?![\w:-])")
_BITCOIN = re.compile(r"(?<!\w)(?:[13][a-km-zA-HJ-NP-Z1-9]{25,34}|bc1[a-z0-9]{25,87})(?!\w)")
_OTHER_WALLETS = re.compile(
    r"(?<!\w)(?:0x[0-9a-fA-F]{40}|[LM][a-km-zA-HJ-NP-Z1-9]{33}|r[1-9A-HJ-NP-Za-km-z]{24,34}|T[1-9A-HJ-NP-Za-km-z]{33}|"
    r"4[0-9AB][1-9A-HJ-NP-Za-km-z]{93})(?!\w)"
)


def _networks(text: str) -> Iterator[Entity]:
    for match in _IPV4.finditer(text):
        if _is_address(match[0]):
            yield Entity(PIIType.IP_ADDRESS, *match.span(), 0.9)
    if ":" in text:
        for match in _IPV6.finditer(text):
            groups = [group for group in match[0].split(":") if group]
            if match[0].count(":") >= 2 and (len(groups) > 1 or match[0] == "::1") and _is_address(match[0]):
                yield Entity(PIIType.IP_ADDRESS, *match.span(), 0.95)
    for match in _MAC.finditer(text):
        yield Entity(PIIType.MAC_ADDRESS, *match.span(), 0.9)


def _wallets(text: str) -> Iterator[Entity]:
    for match in _BITCOIN.finditer(text):
        if _check("bitcoin", match[0]):
            yield Entity(PIIType.CRYPTO, *match.span(), 1.0)
    for match in _OTHER_WALLETS.finditer(text):
        if any(map(str.isdigit, match[0])):
            yield Entity(PIIType.CRYPTO, *match.span(), 0.8)


def _is_address(value: str) -> bool:
    try:
        ip_address(value.split("/")[0].split("%")[0])
    except ValueError:
        return False
    return True


# --- cards and accounts

_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-]|\.\d)")
_CARD_WORDS = re.compile(r"(?i)\b(?:card|visa|master ?card|amex|american express|maestro|discover|diners|cc)\b")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9])")


def _cards(text: str) -> Iterator[Entity]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if len(set(digits)) == 1:
            continue
        named = bool(_CARD_WORDS.search(text, max(0, match.start() - _AROUND), match.start()))
        if _check("luhn", digits) and (named or digits[0] in "23456" or len(digits) >= 15):
            yield Entity(PIIType.CREDIT_CARD, *match.span(), 1.0)
        elif named:
            yield Entity(PIIType.CREDIT_CARD, *match.span(), 0.7)


def _accounts(text: str) -> Iterator[Entity]:
    for match in _IBAN.finditer(text):
        value = match[0]
        # the form takes in a word that follows: shorter and shorter ones are tried, at their blanks
        while len(value) >= 15:
            if _check("iban", value):
                yield Entity(PIIType.IBAN_CODE, match.start(), match.start() + len(value), 1.0)
                break
            value, _, _ = value.rpartition(" ")
        else:
            compact = match[0].replace(" ", "")
            if compact.isupper() and re.search(r"(?i)\biban\b", text[max(0, match.start() - _AROUND) : match.start()]):
                yield Entity(PIIType.IBAN_CODE, *match.span(), 0.7)


# --- national numbers


@dataclass(frozen=True, slots=True)
class _Form:
    """A number's form. `check` names a module of python-stdnum. Without `sure` a word of `words` has to stand near."""

    type: PIIType
    pattern: re.Pattern[str]
    checks: tuple[str, ...] = ()
    words: re.Pattern[str] | None = None
    sure: bool = False

    def find(self, text: str) -> Iterator[Entity]:
        for match in self.pattern.finditer(text):
            proved = any(_check(name, match[0]) for name in self.checks)
            named = self.words is not None and self.words.search(
                text, max(0, match.start() - _AROUND), min(len(text), match.end() + 16)
            )
            if self.sure and not self.checks:
                yield Entity(self.type, *match.span(), 0.9)
            elif proved and (self.sure or named):
                yield Entity(self.type, *match.span(), 1.0 if named else 0.85)
            elif named:
                yield Entity(self.type, *match.span(), 0.6)


def _words(*words: str) -> re.Pattern[str]:
    return re.compile(rf"(?i)(?<!\w)(?:{'|'.join(words)})(?!\w)")


_ID_WORDS = (
    "national id",
    "identity (?:card|number|no)",
    "id (?:card|number|no)",
    "personal (?:identity |id )?(?:code|number|no)",
    "tax(?:payer)?(?: id(?:entification)?)?(?: number| no)?",
    "social (?:security|insurance)",
    "insurance number",
    "citizen",
    "nif",
    "nie",
    "dni",
    "codice fiscale",
    "nir",
    "bsn",
    "pesel",
    "personnummer",
    "cpr",
    "hetu",
    "cpf",
    "aadhaar",
    "pan",
    "sin",
    "tfn",
    "curp",
    "rut",
    "steuer-?id",
    "idnr",
    "rrn",
    "cnp",
    "egn",
    "oib",
    "emso",
    "amka",
    "nric",
    "pps",
    "ahv",
    "tckn",
)

_FORMS = (
    _Form(PIIType.US_SSN, re.compile(r"(?<![\w-])(?!9\d\d-[7-9])\d{3}-\d{2}-\d{4}(?![\w-])"), sure=True),
    _Form(
        PIIType.US_SSN,
        re.compile(r"(?<![\w.-])\d{3}[ .]?\d{2}[ .]?\d{4}(?![\w-]|\.\d)"),
        words=_words("ssn", "ss ?#", "social security(?: number| no)?"),
    ),
    _Form(
        PIIType.US_ITIN,
        re.compile(r"(?<![\w-])9\d{2}[- ][7-9]\d[- ]\d{4}(?![\w-])"),
        ("us.itin",),
        _words("itin", "tax"),
        sure=True,
    ),
    _Form(
        PIIType.UK_NHS,
        re.compile(r"(?<![\w-])\d{3}[ -]?\d{3}[ -]?\d{4}(?![\w-])"),
        ("gb.nhs",),
        _words("nhs", "national health"),
    ),
    _Form(
        PIIType.NATIONAL_ID,
        re.compile(r"(?<!\w)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)"),
        sure=True,
    ),
    # proved by their checksums: Spain, Italy, Finland, India (PAN has none and needs its name), Mexico, Switzerland, Singapore
    _Form(PIIType.NATIONAL_ID, re.compile(r"(?<!\w)[XYZ]?-?\d{7,8}-?[A-HJ-NP-TV-Z](?!\w)"), ("es.dni", "es.nie"), sure=True),
    _Form(
        PIIType.NATIONAL_ID,
        re.compile(r"(?<!\w)[A-Z]{6}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z](?!\w)"),
        ("it.codicefiscale",),
        sure=True,
    ),
    _Form(PIIType.NATIONAL_ID, re.compile(r"(?<!\w)\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y](?!\w)"), ("fi.hetu",), sure=True),
    _Form(PIIType.NATIONAL_ID, re.compile(r"(?<!\w)[A-Z]{4}\d{6}[HM][A-Z]{5}[0-9A-Z]\d(?!\w)"), ("mx.curp",), sure=True),
    _Form(PIIType.NATIONAL_ID, re.compile(r"(?<![\w.])756\.\d{4}\.\d{4}\.\d{2}(?!\w)"), ("ch.ssn",), sure=True),
    _Form(PIIType.NATIONAL_ID, re.compile(r"(?<![\w.])\d{3}\.\d{3}\.\d{3}-\d{2}(?!\w)"), ("br.cpf",), sure=True),
    _Form(PIIType.NATIONAL_ID, re.compile(r"(?<!\w)\d{17}[0-9X](?!\w)"), ("cn.ric",), sure=True),
    _Form(
        PIIType.NATIONAL_ID,
        re.compile(r"(?<![\w-])\d{6}-[1-8]\d{6}(?![\w-])"),
        ("kr.rrn",),
        _words("rrn", "resident"),
        sure=True,
    ),
    _Form(PIIType.NATIONAL_ID, re.compile(r"(?<![\w.])\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}(?!\w)"), ("be.nn",), sure=True),
    _Form(PIIType.NATIONAL_ID, re.compile(r"(?<![\w.])\d{1,2}\.\d{3}\.\d{3}-[\dkK](?!\w)"), ("cl.rut",), sure=True),
    _Form(
        PIIType.NATIONAL_ID,
        re.compile(r"(?<![\w-])(?:\d{6}|\d{8})[-+]\d{4}(?![\w-])"),
        ("se.personnummer", "dk.cpr"),
        sure=True,
    ),
    _Form(
        PIIType.NATIONAL_ID,
        re.compile(r"(?<![\w-])[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?!\w)"),
        ("fr.nir",),
        sure=True,
    ),
    _Form(PIIType.NATIONAL_ID, re.compile(r"(?<!\w)[STFGM]\d{7}[A-Z](?!\w)"), sure=True),
    _Form(
        PIIType.NATIONAL_ID,
        re.compile(r"(?<![\w.-])[2-9]\d{3} \d{4} \d{4}(?![\w-]| \d)"),
        ("in_.aadhaar",),
        _words("aadhaar", "uid"),
        sure=True,
    ),
    # mere digits: a checksum is right by chance once in ten or a hundred, so a word has to say it as well
    _Form(
        PIIType.NATIONAL_ID,
        re.compile(
            r"(?<![\w.-])(?:[A-Z]{5}\d{4}[A-Z]|\d{7}[A-Z]{1,2}|\d{2,4}[ .-]?\d{2,4}[ .-]?\d{2,4}(?:[ .-]?\d{1,4})?)"
            r"(?![\w-]|\.\d)"
        ),
        (
            "de.idnr",
            "nl.bsn",
            "pl.pesel",
            "br.cpf",
            "in_.aadhaar",
            "in_.pan",
            "ca.sin",
            "au.tfn",
            "za.idnr",
            "tr.tckimlik",
            "ro.cnp",
            "bg.egn",
            "hr.oib",
            "gr.amka",
            "no.fodselsnummer",
            "ee.ik",
            "ie.pps",
            "il.idnr",
            "th.pin",
            "cz.rc",
        ),
        _words(*_ID_WORDS),
    ),
)


@cache
def _checker(name: str) -> Callable[[str], bool]:
    valid: Callable[[str], bool] = import_module(f"stdnum.{name}").is_valid
    return valid


def _check(name: str, value: str) -> bool:
    try:
        return bool(_checker(name)(value))
    except (ValueError, IndexError, KeyError, TypeError):  # some of the library's checks trip over other alphabets' digits
        return False


# --- numbers that the text names

_VALUE = r"(?P<value>(?=[\w-]{0,24}\d)[A-Za-z]{0,4}[ -]?\d[\w-]{3,24}(?:[ -]\d{2,8}){0,3})(?!\w)"
_LINK = r"(?:\s{0,2}(?:number|no\.?|num\.?|nr\.?|id|#|code|:|=|is|was|-)){0,4}[\s:#=]{0,3}"
_NAMED_AS: tuple[tuple[PIIType, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(rf"(?i)\b(?:{words}){_LINK}{_VALUE}"))
    for kind, words in (
        (PIIType.US_DRIVER_LICENSE, r"driv(?:er|ing|er['’]?s)['’]?s?[ -]licen[cs]es?|\bdl|licen[cs]e"),
        (PIIType.PASSPORT, r"passport"),
        (PIIType.US_BANK_NUMBER, r"bank account|account|acct\.?|routing|sort code|aba"),
        (
            PIIType.ACCOUNT_NUMBER,
            r"customer|member(?:ship)?|policy|patient|employee|medical record|mrn|health insurance|medicare|vehicle|"
            r"license plate|vin",
        ),
    )
)


def _named(text: str) -> Iterator[Entity]:
    for kind, pattern in _NAMED_AS:
        for match in pattern.finditer(text):
            if sum(map(str.isdigit, match["value"])) >= 4:
                yield Entity(kind, *match.span("value"), 0.65)
