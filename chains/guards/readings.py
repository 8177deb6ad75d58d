"""The ways in which a text can be read: as it stands, with what JSON writes otherwise as it is meant, without what nobody sees,
and with what looks alike made the same.

The look-alikes are those of Unicode's confusables (UTS #39) that stand for the letters of the Latin alphabet in common fonts.
"""

# ruff: noqa: RUF001 - letters that look like others are what this is about

import re
import unicodedata
from typing import Final

from core.redaction.reading import UNSEEN

_UNSEEN: Final = re.compile(f"[{UNSEEN}]")
#: Unicode tags are letters that nobody sees.
_TAGS: Final = {code: chr(code - 0xE0000) for code in range(0xE0020, 0xE007F)}
_ALIKE: Final = (
    # Cyrillic
    ("авсԁеғһіјкӏмнорԛгѕтуѵԝхАВСԀЕНІЈКӀМОРԚЅТУҮѴԜХ", "abcdefhijklmhopqrstyvwxABCDEHIJKIMOPQSTYYVWX"),
    # Greek
    ("αβγεηικνορτυχωΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "abyenikvoptuxwABEZHIKMNOPTYX"),
    # Armenian
    ("օոսհցզյՕՍԼ", "onuhgqjOUL"),
    # Latin beside the alphabet
    ("ıȷɑɡɩɪʟɴʀʏʙʜɢᴀᴄᴅᴇᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢꜰꜱøđłħŧƒØĐŁĦŦ", "ijagiilnrybhgacdejkmoptuvwzfsodlhtfODLHT"),
    # Cherokee
    ("ᎪᏴᏟᎠᎬᏀᎻᎥᎫᏦᏞᎷᏢᎡᏚᎢᏙᎳᏃ", "ABCDEGHiJKLMPRSTVWZ"),
    # letters in squares and circles, of flags
    ("".join(map(chr, range(0x1F170, 0x1F18A))), "abcdefghijklmnopqrstuvwxyz"),
    ("".join(map(chr, range(0x1F150, 0x1F16A))), "abcdefghijklmnopqrstuvwxyz"),
    ("".join(map(chr, range(0x1F1E6, 0x1F200))), "abcdefghijklmnopqrstuvwxyz"),
)
_LETTERS: Final = {ord(one): letter for alike, letters in _ALIKE for one, letter in zip(alike, letters, strict=True)}


#: JSON's ways of writing a character, and how often they may be wrapped: documents are strings of other documents.
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/bfnrt]))")
_MEANT: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WRAPPED: Final = 3


def readings(text: str) -> tuple[str, ...]:
    """The text first, then what else it can be read as, each once.

    Beside the text itself: with JSON's escapes as the characters that they stand for; compatibility forms (full width,
    mathematical letters) as plain ones and nothing unseen; the same with look-alikes as Latin letters and no marks above or
    below them.
    """
    meant = unescaped(text)
    if meant.isascii():
        return tuple(dict.fromkeys((text, meant)))
    seen = unicodedata.normalize("NFKC", _UNSEEN.sub("", meant.translate(_TAGS)))
    bare = "".join(one for one in unicodedata.normalize("NFD", seen) if not unicodedata.combining(one))
    return tuple(dict.fromkeys((text, meant, seen, bare.translate(_LETTERS))))


def unescaped(text: str) -> str:
    """The text with each of JSON's escapes as the character that it stands for, wherever in it they are: an answer, or the
    arguments of a call, may be a document, or hold one."""
    for _ in range(_WRAPPED):
        if "\\" not in text:
            break
        text, before = _ESCAPE.sub(_character, text), text
        if text == before:
            break
    # what is beyond Unicode's first plane is written as two
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _character(escape: "re.Match[str]") -> str:
    number, letter = escape.groups()
    return chr(int(number, 16)) if number is not None else _MEANT.get(letter, letter)
