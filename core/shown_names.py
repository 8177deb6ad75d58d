"""Names that a caller has chosen, a field's that nothing here has, in what is said of it: a secret may have been put there."""

import re

from core.redaction import credentials

#: A longer name is no field's of any API that is known here.
_LONGEST = 40
_NAME = re.compile(r"[A-Za-z_$][\w$.-]*", re.ASCII)
#: Letters and digits mixed for so long are a word of nobody's.
_DRAWN = re.compile(r"(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{12}")
#: What stands for a name that is not shown.
HIDDEN = "…"


def shown(name: object) -> str:
    """A field's name, or its number in a list, as an answer may tell it; `…` where it may be something else than a name."""
    text = str(name)
    if isinstance(name, int):
        return text
    plain = len(text) <= _LONGEST and _NAME.fullmatch(text) is not None and _DRAWN.search(text) is None
    return text if plain and next(credentials.find(text), None) is None else HIDDEN
