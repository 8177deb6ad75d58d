"""What a file says about itself, under the names by which a search can be filtered: author, language, created, modified."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from zipfile import ZipFile

from retrievers.loaders.encoding import clean

_LONGEST = 1000
#: As PDF writes a moment: D:YYYYMMDDHHmmSS and the offset, each part behind the year may be missing (ISO 32000-1, 7.9.4).
_PDF_DATE = re.compile(r"D?:?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?\s*(?:(Z)|([+-])(\d\d)'?(\d\d)?)?")
#: As BCP 47 has it: two or three letters, then what narrows it down.
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*$")


def properties(
    *,
    author: object = None,
    language: object = None,
    created: object = None,
    modified: object = None,
) -> dict[str, str]:
    """Those that say something. Moments are ISO 8601 in UTC, to the second (`2024-05-31T10:00:00Z`), so that they are in order
    as texts; one that is none, and a language that is no tag of BCP 47, is left out. Languages are lower case."""
    tag = str(language or "").strip().replace("_", "-")
    found = {
        "author": " ".join(clean(str(author or "")).split())[:_LONGEST],
        "language": tag.lower() if _LANGUAGE.match(tag) else "",
        "created": _moment(created),
        "modified": _moment(modified),
    }
    return {name: text for name, text in found.items() if text}


def of_core(core: Any, data: bytes) -> dict[str, str]:
    """Those of an Office file, as `docx`, `pptx` and `openpyxl` give them; none where the file has none: the libraries make
    some up then, with the time of now."""
    with ZipFile(BytesIO(data)) as package:
        if not any(name.lower().endswith("docprops/core.xml") for name in package.namelist()):
            return {}

    def one(*names: str) -> object:
        for name in names:
            with suppress(ValueError, OverflowError, TypeError, AttributeError):
                if value := getattr(core, name):
                    return value
        return None

    return properties(
        author=one("author", "creator"), language=one("language"), created=one("created"), modified=one("modified")
    )


def pdf_date(text: str) -> str:
    """A moment as PDF writes it, as ISO 8601; empty where it is none."""
    if not (found := _PDF_DATE.match(text.strip())):
        return ""
    year, month, day, hour, minute, second, _, sign, hours, minutes = found.groups()
    offset = f"{sign}{hours}:{minutes or '00'}" if sign else "+00:00"
    return f"{year}-{month or '01'}-{day or '01'}T{hour or '00'}:{minute or '00'}:{second or '00'}{offset}"


def _moment(value: object) -> str:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return ""
    if not isinstance(value, datetime):
        return ""
    try:
        utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        return ""
    return f"{utc:%Y-%m-%dT%H:%M:%S}Z" if utc.year >= 1000 else ""
