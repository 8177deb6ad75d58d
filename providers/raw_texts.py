"""Which models of a server of OpenAI's protocol continue raw texts: many a server has chat alone, and says so when asked."""

import re
import time
from typing import Any

#: Seconds for which a model is not asked again.
CHATS_FOR_S = 3600.0
#: There is no such path, or not for this model.
_NO_SUCH_PATH = frozenset({404, 405, 410, 501})
_NOT_FOR_THIS_MODEL = frozenset({400, 403, 422})
#: OpenAI's "This is a chat model and not supported in the v1/completions endpoint", vLLM's "The model does not support
#: Completions API", gateways' "is not a completion model" (November 2026).
_ITS_WORDS = re.compile(
    r"chat/completions|is a chat model|not an? (?:text )?completions? model|not support(?:ed)?\b.{0,30}\bcompletions?\b"
    r"|completions?\b.{0,30}\bnot (?:supported|available|implemented|enabled)",
    re.IGNORECASE,
)


class RawTexts:
    """What was seen of one server's models."""

    __slots__ = ("_chatting_until", "_completing")

    def __init__(self) -> None:
        self._completing: set[str] = set()
        self._chatting_until: dict[str, float] = {}

    def known(self, model: str) -> bool | None:
        """Whether the model continues raw texts; None: that was not seen, or not lately."""
        if self._chatting_until.get(model, 0.0) > time.monotonic():
            return False
        return True if model in self._completing else None

    def completed(self, model: str) -> None:
        self._completing.add(model)
        self._chatting_until.pop(model, None)

    def refused(self, model: str) -> None:
        """It has none for now: the server may be starting, or the model may be gone."""
        self._completing.discard(model)

    def chatted(self, model: str) -> None:
        """It answered by chat what it had refused to continue."""
        self._chatting_until[model] = time.monotonic() + CHATS_FOR_S


def has_none(error: Exception) -> bool:
    """Whether an error in answer to a raw text says that the server, or the model, continues none. That of a model which is not
    there is the same: a chat tells the two apart."""
    status: Any = next((told for each in (error, error.__cause__) if (told := getattr(each, "status_code", None))), None)
    if status in _NO_SUCH_PATH:
        return True
    return status in _NOT_FOR_THIS_MODEL and _ITS_WORDS.search(str(error)) is not None
