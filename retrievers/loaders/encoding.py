"""Bytes to text: which encoding a text has, and text that every later step can take."""

import codecs
import re
import unicodedata

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_GUESS_BYTES = 32 * 1024
_MAX_UTF8_BYTES = 4
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b")) + b"\x7f"
_MAX_CONTROL_SHARE = 0.005
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LINE_END = re.compile("\r\n?|[\u2028\u2029\x85]")


def looks_like_text(head: bytes) -> bool:
    """Whether bytes are text in some encoding, judged by their beginning."""
    if any(head.startswith(bom) for bom, _ in _BOMS) or _utf16_without_mark(head):
        return True
    if b"\x00" in head:
        return False
    controls = len(head) - len(head.translate(None, _CONTROL))
    return controls <= len(head) * _MAX_CONTROL_SHARE


def decode(data: bytes, *, cut: bool = False) -> str:
    """The text in `data`: by its byte-order mark, as UTF-8 where it is valid, else by the most likely encoding.

    `cut` says that the end is missing, so that half a character there is no sign of another encoding. Never fails:
    what fits no encoding becomes U+FFFD.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(encoding, "replace")
    if utf16 := _utf16_without_mark(data):
        return data.decode(utf16, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if cut and error.start >= len(data) - _MAX_UTF8_BYTES and error.reason == "unexpected end of data":
            return data[: error.start].decode("utf-8")
    return data.decode(_guess(data), "replace")


def clean(text: str) -> str:
    """Text as every later step expects it: NFC, `\\n` ends lines, no NUL or other controls, no lone surrogates."""
    text = _UNWANTED.sub("", _LINE_END.sub("\n", text))
    if not text.isascii():
        text = _SURROGATE.sub("\ufffd", text)
        if not unicodedata.is_normalized("NFC", text):
            text = unicodedata.normalize("NFC", text)
    return text


def _utf16_without_mark(data: bytes) -> str | None:
    """UTF-16 shows few values, zero among them, in every other byte: the alphabet's half of each character."""
    sample = data[:4096]
    sample = sample[: len(sample) // 2 * 2]
    if len(sample) < 4 or b"\x00" not in sample:
        return None
    for encoding, high in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[0::2])):
        if 0 not in high or len(set(high)) > 4:
            continue
        text = sample.decode(encoding, "replace")
        if sum(character.isprintable() or character in "\t\r\n" for character in text) >= 0.99 * len(text):
            return encoding
    return None


def _guess(data: bytes) -> str:
    """The likely encoding of bytes that are not UTF-8; the lines that tell most are asked.

    charset-normalizer takes short Western, Cyrillic and Japanese texts for others (3.5: `crème` for `crčme`), so what is
    plainly one of those is told first.
    """
    from charset_normalizer import from_bytes

    telling = b"\n".join(line for line in data[: 16 * _GUESS_BYTES].splitlines() if not line.isascii())[:_GUESS_BYTES]
    for encoding, plain in _PLAIN:
        try:
            text = telling.decode(encoding)
        except UnicodeDecodeError as error:
            if error.start < len(telling) - _MAX_UTF8_BYTES:
                continue
            text = telling[: error.start].decode(encoding)
        if plain(text):
            return encoding
    best = from_bytes(telling).best()
    return best.encoding if best is not None else "cp1252"


def _is_japanese(text: str) -> bool:
    strange = [character for character in text if character > "\x7f"]
    kana = sum("\u3041" <= character <= "\u30fc" for character in strange)
    return kana > 0.25 * len(strange) and not any("\uff61" <= character <= "\uff9f" for character in strange)


def _is_cyrillic(text: str) -> bool:
    """Mostly small letters, the frequent ones frequent, and nothing foreign among them."""
    strange = [character.lower() for character in text if character > "\x7f"]
    letters = [character for character in text if character > "\x7f" and character.isalpha()]
    lower = sum(character.islower() for character in letters)
    frequent = sum(character in "оеаинт" for character in strange)
    return (
        len(letters) > 3
        and lower > 0.7 * len(letters)
        and frequent > 0.3 * len(letters)
        and all("а" <= character <= "я" or character in "ёіїєґў«»—–№“”„…\xa0" for character in strange)  # noqa: RUF001
    )


def _is_western(text: str) -> bool:
    mixed = "ø" in text and any(character in text for character in "ìòùè")  # Czech, read as Western
    return not mixed and _is_latin(text, _WESTERN)


def _is_central(text: str) -> bool:
    return _is_latin(text, _CENTRAL)


def _is_latin(text: str, allowed: frozenset[str]) -> bool:
    """Accents are the exception among letters and of one alphabet, and signs stand outside of words."""
    strange = {character for character in text if character > "\x7f"}
    letters = sum(character.isalpha() for character in text)
    accents = sum(character > "\x7f" and character.isalpha() for character in text)
    return strange <= allowed and accents <= 0.4 * max(letters, 3) and not _SIGN_IN_WORD.search(text)


_SIGNS = "£¥§©°«»‹›¿¡ªº²³½¼¾±×µ"  # noqa: RUF001 - the signs themselves are meant
_ACCENTS = "áéíóúàèìòùâêîôûäëïöüãõñçßåæøœÿšžÁÉÍÓÚÀÈÌÒÙÂÊÎÔÛÄËÏÖÜÃÕÑÇÅÆØŒŠŽ"
_POINTS = "“”‘’„‚–—…€®™·•\xa0\xad"  # noqa: RUF001
_WESTERN = frozenset(_ACCENTS + _SIGNS + _POINTS)
_CENTRAL = frozenset("áäčćďéěęëíłńňóôöőřśšťúůüűýźżžßą" + "ÁÄČĆĎÉĚĘËÍŁŃŇÓÔÖŐŘŚŠŤÚŮÜŰÝŹŻŽĄ" + _SIGNS + _POINTS)
_SIGN_IN_WORD = re.compile(f"[a-zA-Z][{_SIGNS}¹][a-zA-Z]")
_PLAIN = (
    ("cp1252", _is_western),
    ("cp1250", _is_central),
    ("iso8859_2", _is_central),
    ("euc_jp", _is_japanese),
    ("shift_jis", _is_japanese),
    ("cp1251", _is_cyrillic),
    ("koi8_r", _is_cyrillic),
)
