"""Taking up a stream that was cut: another deployment is given what was sent so far and goes on from there.

A model that takes such a beginning up gives the rest alone, or repeats the end of what was sent. `Seam` joins the two so that
nothing stands twice and nothing is missing; where that cannot be known, it says so. A model that does not take it up answers
anew, which no text tells from a continuation for certain: `Riddle` finds out before it is trusted. One that has solved it and
answers anew all the same mostly begins as the answer began; `Seam` notices that before any of it is sent.
"""

import random
import unicodedata
from dataclasses import dataclass, field
from itertools import islice

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from providers.failures import StreamCut

#: Characters from which on a repetition of what was sent is one, and no chance.
REPEATED = 16
#: Letters and digits of the answer's beginning from which on their repetition is the answer anew: amid a sentence, and after
#: the end of one or of a line, where an answer may begin as it has begun (another row, another test, a refrain). Of the texts
#: of this repository, cut at 270,000 places, 25 true continuations in 100,000 begin so.
ANEW, ANEW_AFTER_AN_END = 16, 40
#: Letters and digits of a continuation that are looked at for it, and characters that are held back for them at most.
ANEW_WITHIN, HELD_BACK = 80, 200
#: Characters within which a text is looked at for repeating itself.
LOOKED_AT = 400
#: Unicode's categories of the marks with which a text ends (a full stop, a closing bracket or quotation mark), and those of
#: them with which none does.
_ENDS = frozenset({"Po", "Pe", "Pf"})
_NO_ENDS = frozenset(",;:\\/&@#%*\u3001\uff0c\uff1b\uff1a")


def begun(messages: list[BaseMessage], sent: str) -> list[BaseMessage]:
    """The request with the answer begun. Without space at its end: Anthropic's API refuses that (docs, November 2026)."""
    return [*messages, AIMessage(sent.rstrip())]


_WORDS = "amber basil cedar delta ember flint grape hazel ivory jade kiwi lemon maple nectar olive pearl quartz raven topaz"
#: Of so many words the model is given the first half as its own.
_ASKED = 8
#: Tokens in which the other half fits.
RIDDLE_TOKENS = 32
#: Seconds for which a deployment is believed to be as it was found.
FOUND_FOR_S = 3600.0


@dataclass(frozen=True)
class Riddle:
    """A request with its answer begun, which goes on with a word that was drawn by lot."""

    words: list[str] = field(default_factory=lambda: random.sample(_WORDS.split(), _ASKED))

    @property
    def messages(self) -> list[BaseMessage]:
        asked = f"Write these words in this order, with a space between them and nothing else: {' '.join(self.words)}"
        return begun([HumanMessage(asked)], " ".join(self.words[: _ASKED // 2]))

    def solved(self, answer: str) -> bool:
        """Whether the answer is the rest, and no answer from the beginning."""
        rest = self.words[_ASKED // 2 :]
        return [word.strip(".,").casefold() for word in answer.split()][: len(rest)] == rest


class BegunAnew(StreamCut):
    """What was to be a continuation is the answer from its beginning."""


class Seam:
    """Of a continuation, what is to be sent after `sent`.

    It holds text back while that agrees with something that was sent, and the first words, which are compared with the first of
    the answer. Space before a repetition is none of the answer's. Of a model that is not `trusted` to take a beginning up, only
    an answer that repeats all of it is joined.

    `sent` is the text, with what space ends it; `told`: whether it has given anything to send.

    Raises:
        StreamCut: by `feed`, when a repetition may as well be the answer's own, or an answer is none of what was sent.
        BegunAnew: it begins as what was sent began, and goes another way.
    """

    def __init__(self, sent: str, *, trusted: bool = True) -> None:
        self.sent, self.trusted = sent, trusted
        self._sent = sent.rstrip()
        self._space = sent[len(self._sent) :]
        self._held = ""
        self.told = False
        first = len(self._sent) - len(self._sent.lstrip())
        later = range(first + 1, len(self._sent) - REPEATED + 1) if trusted else ()
        self._starts: list[int] | None = [first, *later]

    @property
    def joined(self) -> bool:
        """Whether all that comes from here on is to be sent as it is."""
        return self.told and self._starts is None and not self._space

    @property
    def missing(self) -> bool:
        """Whether a continuation that ends here has left the answer as it was cut: it told nothing, and no text ends like what
        was sent. One that was cut before its final marker alone ends like a text, and nothing is what follows it."""
        return not self.told and not _may_end(self._sent)

    def feed(self, text: str) -> str:
        """What may be sent now that `text` has come."""
        if self._starts is None:
            return self._spaced(text)
        self._held += text
        told = self._held.lstrip()
        self._starts = [start for start in self._starts if self._agrees(told, start)]
        whole = [start for start in self._starts if len(self._sent) - start <= len(told)]
        if len(whole) < len(self._starts) or not told:
            return ""
        rest = self._held
        if whole:
            repeated = self._sent[whole[0] :]
            if len(whole) > 1 or len(repeated) < REPEATED or _repeats_itself(repeated):
                raise StreamCut
            rest = told[len(repeated) :]
        elif not self.trusted:
            raise StreamCut
        elif self._may_be_anew():
            return ""
        self._starts = None
        return self._spaced(rest)

    def end(self) -> str:
        """What was held back when the continuation ends: as far as it went it was no repetition.

        Raises:
            StreamCut: nothing says that it is a continuation.
        """
        if self._starts is None:
            return ""
        if not self.trusted:
            raise StreamCut
        self._may_be_anew(ends=True)
        self._starts = None
        return self._spaced(self._held)

    def _may_be_anew(self, *, ends: bool = False) -> bool:
        """Whether what is held may turn out to be the answer from its beginning: at once or after a few words, and with other
        marks between its words. Raises BegunAnew: it is."""
        beginning = _letters(self._sent, ANEW_AFTER_AN_END)
        if len(beginning) < ANEW:
            return False
        said = _letters(self._held, ANEW_WITHIN)
        amid = beginning if self._follows_an_end() else beginning[:ANEW]
        found = next((part for part in (amid, beginning) if said.startswith(part) or (part is beginning and part in said)), "")
        if ends and len(said) >= ANEW and beginning.startswith(said):
            found = said
        if found and _letters(self._sent).find(found, 1) < 0:  # the answer has not taken that up again by itself
            raise BegunAnew
        return not found and len(said) < ANEW_WITHIN and len(self._held) < HELD_BACK

    def _follows_an_end(self) -> bool:
        """Whether what is held begins after the end of a sentence or of a line."""
        before = next((at for at, character in enumerate(self._held) if character.isalnum()), len(self._held))
        return _may_end(self._sent) or "\n" in self._space + self._held[:before]

    def _agrees(self, told: str, start: int) -> bool:
        if len(told) <= len(self._sent) - start:
            return self._sent.startswith(told, start)
        return told.startswith(self._sent[start:])

    def _spaced(self, text: str) -> str:
        """Without the space that was sent already."""
        same = 0
        while same < len(text) and same < len(self._space) and text[same] == self._space[same]:
            same += 1
        self._space = self._space[same:] if same == len(text) else ""
        self.told = self.told or same < len(text)
        return text[same:]


def _may_end(text: str) -> bool:
    """Whether a text ends like this one."""
    last = text[-1:]
    return bool(last) and last not in _NO_ENDS and unicodedata.category(last) in _ENDS


def _letters(text: str, most: int | None = None) -> str:
    """The first letters and digits of a text, as they are compared."""
    return "".join(islice(filter(str.isalnum, text), most)).casefold()


def _repeats_itself(text: str) -> bool:
    text = text[:LOOKED_AT]
    return any(text[period:] == text[:-period] for period in range(1, len(text) // 2 + 1))
