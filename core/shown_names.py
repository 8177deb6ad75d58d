"""Names that a caller has chosen, a field's that nothing here has, in what is said of it: a secret may have been put there."""

import re

from core.redaction import credentials

#: A longer name is no field's of any API that is known here.
_LONGEST = 40
_NAME = re.compile(r"[A-Za-z_$][\w$.-]*", re.ASCII)
_LONGEST_MODEL = 100
_MODEL = re.compile(r"[A-Za-z][\w.:/-]*", re.ASCII)
#: Letters and digits mixed for so long are a word of nobody's.
_DRAWN = re.compile(r"(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{12}")
#: What stands for a name that is not shown.
HIDDEN = "…"


def shown(name: object) -> str:
    """A field's name, or its number in a list, as an answer may tell it; `…` where it may be something else than a name."""
    text = str(name)
    return text if isinstance(name, int) or _is_plain(text, _NAME, _LONGEST) else HIDDEN


def shown_model(name: str) -> str:
    """What a caller gave as a model's name, as a log and the record may tell it; `…` where it may be something else, as an
    e-mail address."""
    return name if _is_plain(name, _MODEL, _LONGEST_MODEL) else HIDDEN


def _is_plain(text: str, form: re.Pattern[str], longest: int) -> bool:
    plain = len(text) <= longest and form.fullmatch(text) is not None and _DRAWN.search(text) is None
    return plain and next(credentials.find(text), None) is None
