"""Texts that come in pieces: pseudonyms put back, or personal data taken out, also where a value is split across pieces."""

import re
from collections.abc import Callable, Sequence

from core.redaction.analyser import Analyser
from core.redaction.entities import Entity
from core.redaction.replacement import MAX_PSEUDONYM, Pseudonyms, redacted

#: Replaces the entities of a text, as `redacted` and `Pseudonyms.replace` do.
Replace = Callable[[str, Sequence[Entity]], tuple[str, list[str]]]

_KEY_ENDS = re.compile(r"-----END [A-Z ]{1,60}-----")
_ESCAPE = r"\\(?:u(?:0(?:0(?:3[cCeE]?)?)?)?)?"
#: The beginning of a pseudonym at the end of a text; in JSON its brackets may be escapes.
_BEGUN = re.compile(rf"(?:(?:<|\\u003[cC])(?:[A-Z][A-Z_]{{0,30}}(?:_\d{{0,7}})?(?:{_ESCAPE})?)?|{_ESCAPE})$")


#: Characters that two escaped brackets take.
_ESCAPES = 12
#: A stream is looked at again after this many more characters.
_STEP = 80


class StreamRestorer:
    """Puts values back for their pseudonyms. Holds back only what may become a pseudonym."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be said after another piece."""
        text = self._held + piece
        begun = _BEGUN.search(text, max(0, len(text) - MAX_PSEUDONYM - _ESCAPES))
        cut = begun.start() if begun else len(text)
        self._held = text[cut:]
        return self._pseudonyms.restore(text[:cut])

    def finish(self) -> str:
        """What was held back to the end."""
        rest, self._held = self._held, ""
        return self._pseudonyms.restore(rest)


class StreamRedactor:
    """Takes personal data out of a stream.

    The last `hold` characters are kept back until more is known, so that whatever is shorter is seen whole before any of it is
    said; what began before them is kept back with them, a private key to its end. The text that was said stays in sight of the
    recognisers, `context` characters of it.
    """

    def __init__(
        self, analyser: Analyser, replace: Replace = redacted, *, hold: int = 120, context: int = 120, at_most: int = 20_000
    ) -> None:
        self._analyser = analyser
        self._replace = replace
        self._hold, self._context, self._at_most = hold, context, at_most
        self._said = ""
        self._held = ""

    async def feed(self, piece: str) -> str:
        """What can be said after another piece; empty while it has to wait."""
        self._held += piece
        if len(self._held) < self._hold + _STEP:
            return ""
        return await self._say(len(self._held) - self._hold)

    async def finish(self) -> str:
        """The rest."""
        return await self._say(len(self._held)) if self._held else ""

    async def _say(self, cut: int) -> str:
        """Say the text up to `cut` or a little before it: never within a word, nor within an entity."""
        text = self._said + self._held
        behind = len(self._said)
        [entities] = await self._analyser.adetect([text], patient=True)
        end = behind + cut
        if end < len(text):
            end = self._boundary(text, behind, end, entities)
        within = [
            Entity(one.type, max(one.start, behind) - behind, one.end - behind, one.score)
            for one in entities
            if one.end > behind and one.end <= end
        ]
        said, _ = self._replace(text[behind:end], within)
        self._said, self._held = text[:end][-self._context :], text[end:]
        return said

    def _boundary(self, text: str, begin: int, end: int, entities: Sequence[Entity]) -> int:
        """The last place to cut at, at or before `end`."""
        opened = text.find("-----BEGIN", begin)
        if 0 <= opened < end and not _KEY_ENDS.search(text, opened) and len(text) - opened < self._at_most:
            end = opened
        blank = max(text.rfind(" ", begin, end), text.rfind("\n", begin, end))
        if blank >= begin:
            end = blank + 1
        elif len(text) - begin < self._at_most:
            return begin  # one long word: a key or an address whose end has not come
        for one in reversed(entities):
            # an address or a name may go on behind a blank: what ends near the end of the text is not known whole
            if one.start < end < one.end or (one.end <= end and one.end >= len(text) - 1):
                end = min(end, max(begin, one.start))
        return end
