"""Words of a question that name a thing together: of `the open day` neither says anything alone where texts know open days."""

import re
from collections.abc import Sequence

from chains.vocabulary import ENGLISH, GERMAN, LIGHT, listed

#: What a question for a time is told by as well, and names a thing where another word stands in front.
_TIMES = listed("day days week weeks month year years night nights evening evenings hour hours")
#: An article and a word, then one that says little by itself.
_PAIR = re.compile(
    r"\b(?:the|an?|our|your|this|next|last)\s+([^\W\d_]{3,})\s+([^\W\d_]{3,})\b",
    re.I,
)


class Collocations:
    """Those of a question that some of the texts have as well."""

    def __init__(self, question: str, texts: Sequence[str]) -> None:
        empty = ENGLISH | GERMAN
        pairs = [(one.lower(), other.lower()) for one, other in _PAIR.findall(question)]
        forms = [_form(one, other) for one, other in pairs if other in _TIMES and one not in LIGHT | empty]
        self._forms = [form for form in forms if any(map(form.search, texts))]

    def lacking(self, text: str) -> bool:
        """Whether a text lacks one of them."""
        return any(not form.search(text) for form in self._forms)


def _form(one: str, other: str) -> re.Pattern[str]:
    return re.compile(rf"\b{re.escape(one)}\w{{0,2}}[\s-]+{re.escape(other)}", re.I)
