"""Taking up a cut answer that is to keep to a form: nothing of the rest is sent before both together are known to keep to it.

Whoever holds an answer to a form does so from the first token that it gives: asked for the rest in the form, it gives all of it
anew. So one that takes a beginning up is asked without the form, and the text is held to it here.
"""

import json
from typing import Any

from core.json_schemas import Unusable, fits
from providers.continuation import Seam
from providers.failures import StreamCut


class FormSeam(Seam):
    """A seam whose text is held back until its end.

    Raises:
        StreamCut: by `end`, when the text would not keep to the form, or would in more than one way.
    """

    def __init__(self, sent: str, form: dict[str, Any], *, trusted: bool = True) -> None:
        super().__init__(sent, trusted=trusted)
        self._form = form
        self._waiting = ""
        self._ended = False

    @property
    def joined(self) -> bool:
        return self._ended

    @property
    def missing(self) -> bool:
        return False  # what lacks something keeps to no form

    def feed(self, text: str) -> str:
        self._waiting += text
        return ""

    def end(self) -> str:
        rests = {rest for rest in self._possible() if _keeps_to(self._form, self.sent + rest)}
        if len(rests) != 1:
            raise StreamCut
        self._ended = True
        return rests.pop()

    def _possible(self) -> list[str]:
        """What may be the rest: all of it, what is left of it without what it repeats, and, where it begins with all that was
        sent, however short that is, what follows that."""
        told, beginning, space = self._waiting.lstrip(), self._sent.lstrip(), self._space
        rests = [self._spaced(self._waiting)] if self.trusted else []
        self._space = space
        if told.startswith(beginning):
            return [*rests, self._spaced(told[len(beginning) :])]
        return [*rests, super().feed(self._waiting) + super().end()]


def seam_of(sent: str, parameters: dict[str, Any], *, trusted: bool) -> Seam:
    """The seam after `sent` of an answer that was asked for with these parameters."""
    form = parameters.get("response_format") or {}
    return Seam(sent, trusted=trusted) if form.get("type", "text") == "text" else FormSeam(sent, form, trusted=trusted)


def _keeps_to(form: dict[str, Any], text: str) -> bool:
    """Whether a text is an object in the form. Other values may be joined wrongly and keep to it all the same: two numbers are
    one."""
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
        described = form.get("json_schema")
        return isinstance(value, dict) and (described is None or fits(described["schema"], value))
    except (ValueError, LookupError, TypeError, RecursionError, Unusable):
        return False


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Raises ValueError: a name stands in it twice, as where an answer was begun anew after its first brace."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made


def _refuse(_: str) -> None:
    raise ValueError
