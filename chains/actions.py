"""What a question asks how to do, and whether a sentence says how it is done.

A passage about a thing has mostly many words of what can be done with it. Only a sentence that speaks of the act asked for, by
itself or under a heading that does, answers how it is done; one that takes the act as given (`until it is deleted`) does not.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from chains.quotes import plain
from chains.specifics import MEANT, Embed, Ground, Words
from chains.vocabulary import ACTS, ENGLISH, SETTING_ACTS, VAGUE_ACTS

_ASKED = re.compile(
    r"\bhow\s+(?:(?:do|does|can|could|should|would|must|may|might)\s+(?:i|we|you|one|people|users?|somebody|someone)|to)\s+"
    r"(?:(?:best|quickly|easily|safely|also)\s+)?([a-z]+)\b",
    re.I,
)
#: What takes an act as given, or says of somebody that they did it.
_GIVEN = re.compile(
    r"\b(?:when|whenever|if|until|till|unless|once|after|before|while|whether|because|since|who|whoever|whose|of which|that)\b"
    r"(?!\s+`)[^,.;:?!\n|]*",
    re.I,
)
#: `The right to cancel is not affected` says nothing of how that is done.
_RIGHT = re.compile(
    r"\b(?:rights?|dut(?:y|ies)|obligations?|options?) to\b[^.;:?!\n|]*?(?=\b(?:is|are|was|were|remains?|stays?|shall)\b)", re.I
)
_ASIDE = re.compile(r"\([^()`]*\)")
#: Names of events, states and settings; they have the words of an act, and tell nothing of how it is done.
_NAMED = re.compile(r"\b\w+(?:[_.]\w+)+\b|`\w+ed`")
#: A participle tells of a state, and no more, unless it goes on with what does it.
_PARTICIPLE = re.compile(r"\b\w+ed\b(?![^.;:|]{0,80}(?:\bby\b|\bwith\b|`))", re.I)
_SETTING = re.compile(r"\b[A-Z][A-Z0-9]+(?:_+[A-Z0-9]+)+\b")


def act_of(question: str) -> str | None:
    """The verb that a question asks how to do, in small letters, empty where it says little (`use`, `see`); None where it does
    not ask that."""
    found = _ASKED.search(question)
    if found is None:
        return None
    verb = found[1].lower()
    return "" if verb in VAGUE_ACTS or verb in ENGLISH else verb


@dataclass
class Act:
    """An act that is looked for in sentences. What the embedding model says of words is asked once a word."""

    verb: str
    words: Words
    embed: Embed
    _vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def vouched(self, heading: str) -> str:
        """The heading, as far as it says something of what stands under it: one that asks for another act says nothing."""
        other = act_of(heading)
        return "" if other and other != self.verb and other not in ACTS.get(self.verb, ()) else heading

    def told(self, heading: str, text: str) -> bool:
        """Whether a sentence under a heading speaks of the act. Blocks while the embedding model reads words."""
        if not self.verb or (self.verb in SETTING_ACTS and _SETTING.search(text)):
            return True
        if self._known(_GIVEN.sub(" ", heading)):
            return True
        said = _NAMED.sub(" ", _GIVEN.sub(" ", _RIGHT.sub(" ", _ASIDE.sub(" ", plain(text)))))
        return self._known(_PARTICIPLE.sub(" ", said))

    def _known(self, text: str) -> bool:
        ground = Ground(text, self.words)
        if any(ground.knows(verb) for verb in ACTS.get(self.verb, frozenset({self.verb}))):
            return True
        if self.verb in ACTS:
            return False  # what stands for it is known; near in meaning is its opposite as well
        others = [word for word in ground.plain if word.isalpha()]
        if not others:
            return False
        vectors = self._of([self.verb, *others])
        return float(np.max(vectors[1:] @ vectors[0])) >= MEANT

    def _of(self, words: Sequence[str]) -> NDArray[np.float32]:
        missing = [word for word in dict.fromkeys(words) if word not in self._vectors]
        if missing:
            self._vectors |= dict(zip(missing, self.embed(missing), strict=True))
        return np.stack([self._vectors[word] for word in words])
