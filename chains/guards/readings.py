"""The ways in which a text can be read: as it stands, without what nobody sees, and with what looks alike made the same.

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


def readings(text: str) -> tuple[str, ...]:
    """The text first, then what else it can be read as, each once.

    Beside the text itself: compatibility forms (full width, mathematical letters) as plain ones and nothing unseen; the same
    with look-alikes as Latin letters and no marks above or below them.
    """
    if text.isascii():
        return (text,)
    seen = unicodedata.normalize("NFKC", _UNSEEN.sub("", text.translate(_TAGS)))
    bare = "".join(one for one in unicodedata.normalize("NFD", seen) if not unicodedata.combining(one))
    return tuple(dict.fromkeys((text, seen, bare.translate(_LETTERS))))
