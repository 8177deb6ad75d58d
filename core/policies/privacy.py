"""Personal data by a tenant's policy: found, reported, taken out, put behind pseudonyms, or a reason to refuse.

Works on texts and on values of JSON. What a model is sent and what it answers is in `providers.privacy`, answers as callers get
them in `chains.protection`.
"""

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

from core.context import RequestContext, current
from core.errors import PersonalDataBlocked, TooLarge
from core.policies.events import report
from core.policies.parts import split_values, without
from core.policies.policy import PIIMode, Place
from core.policies.store import Policies
from core.redaction.analyser import Analyser
from core.redaction.entities import Entity, PIIType
from core.redaction.replacement import Pseudonyms, replaced, same
from core.redaction.structures import Leaves, as_json, dumped

Modes = Mapping[PIIType, PIIMode]

_REMEMBERED: Final = 2000
#: A literal of our own prompts that is shorter is not looked for: it could be anybody's words.
_OWN_LITERAL: Final = 12


@dataclass(slots=True)
class Record:
    """What has to be known of a conversation's personal data.

    `given` are the pseudonyms of what goes to a model, now or with a later turn, which are put back; `said` is what callers
    said themselves, which may come back to them; `retrieved` are passages as they stand in prompts.
    """

    pseudonyms: Pseudonyms = field(default_factory=Pseudonyms)
    given: set[str] = field(default_factory=set)
    said: set[str] = field(default_factory=set)
    retrieved: list[str] = field(default_factory=list)

    def dump(self) -> dict[str, Any]:
        """What is kept with a session, for `take_up`."""
        return {"values": self.pseudonyms.mapping, "given": sorted(self.given), "said": sorted(self.said)}

    def take_up(self, kept: Mapping[str, Any]) -> None:
        """Go on from what was kept of the conversation, before any pseudonym is given."""
        if kept and not self.pseudonyms.mapping:
            self.pseudonyms = Pseudonyms(kept.get("values"))
            self.given, self.said = set(kept.get("given", ())), set(kept.get("said", ()))

    def joined(self, kept: Mapping[str, Any]) -> "tuple[Record, dict[str, str]]":
        """This record added to what another turn of the conversation has kept; and the pseudonyms that had to be changed for
        that, with the new ones."""
        base, renamed = Record(), {}
        base.take_up(kept)
        for pseudonym, value in self.pseudonyms.mapping.items():
            name = base.pseudonyms.pseudonym(PIIType(pseudonym[1:-1].rsplit("_", 1)[0]), value)
            if name != pseudonym:
                renamed[pseudonym] = name
        base.given |= {renamed.get(name, name) for name in self.given}
        base.said |= self.said
        return base, renamed

    @property
    def restoring(self) -> Pseudonyms:
        """The pseudonyms that an answer is read with."""
        return self.pseudonyms.among(self.given)


def record_of(request: RequestContext) -> Record:
    """The request's record, made where it has none yet."""
    if request.privacy is None:
        request.privacy = Record()
    return request.privacy


class Privacy:
    """One for a process. Where a tenant has no rules for a place, nothing is asked of it and nothing is loaded."""

    def __init__(self, policies: Policies, analyser: Analyser | None = None, *, most_characters: int = 100_000) -> None:
        self._policies = policies
        self.analyser = analyser or Analyser()
        self._most = most_characters
        self._known: OrderedDict[bytes, tuple[Entity, ...]] = OrderedDict()
        self._lock = Lock()
        self._own_words: tuple[str, ...] = ()

    def own_words(self, words: Sequence[str]) -> None:
        """Texts of the platform's own that stand in prompts: nothing in them is anybody's personal data."""
        self._own_words = tuple({word.strip() for word in words if len(word.strip()) >= _OWN_LITERAL})

    def modes(self, *places: Place, capability: str | None = None) -> dict[Place, Modes]:
        """What is done at some places for the request being served; empty where nothing is."""
        request = current()
        policy = self._policies.of(request.principal.tenant)
        if not policy.handles_pii:
            return {}
        named = request.capability if capability is None else capability
        return {place: modes for place in places if (modes := policy.modes(named, place))}

    def passing(self, modes: Mapping[Place, Modes], **options: Any) -> "Passing":
        """Texts that pass together, by rules that `modes` gave."""
        return Passing(self, modes, record_of(current()), **options)

    async def entities(self, texts: Sequence[str], *, searched: int = 0) -> tuple[list[Sequence[Entity]], int]:
        """What each text holds, and how many characters had to be searched, after `searched` of the same request. A text that
        was searched lately is not searched again.

        Raises:
            TooLarge: `text_too_large`: what cannot be searched does not pass.
        """
        keys = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        with self._lock:
            known = {key: self._known[key] for key in keys if key in self._known}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        searched += sum(map(len, missing.values()))
        if searched > self._most:
            message = f"At most {self._most:,} characters of a request are searched for personal data."
            raise TooLarge(message, code="text_too_large")
        if missing:
            for key, found in zip(missing, await self.analyser.adetect(list(missing.values()), patient=True), strict=True):
                known[key] = tuple(found)
            with self._lock:
                self._known.update((key, known[key]) for key in missing)
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return [known[key] for key in keys], searched

    def spans_of_own_words(self, text: str) -> list[tuple[int, int]]:
        """Where the platform's own words stand."""
        return [span for words in self._own_words for span in occurrences(text, words)]


class Passing:
    """Texts and values that go one way together. Ask for each, then `told`.

    `first` is the place of what is not marked as found. `exempt`: what callers said themselves is let through. With
    `for_good` pseudonyms are not given: what would get one is taken out.

    Raises:
        PersonalDataBlocked: a type that must not pass.
    """

    def __init__(
        self,
        privacy: Privacy,
        modes: Mapping[Place, Modes],
        record: Record,
        *,
        first: Place = Place.PROMPTS,
        exempt: bool = False,
        for_good: bool = False,
    ) -> None:
        self._privacy, self._modes, self._record = privacy, modes, record
        self._first, self._exempt, self._for_good = first, exempt, for_good
        self._counts: dict[Place, Counter[str]] = {}
        self._searched = 0

    def reserve(self, text: str) -> None:
        """Give no value a pseudonym that stands in this text: whoever wrote it would be told the value."""
        self._record.pseudonyms.reserve(text)

    async def text(self, text: str) -> str:
        """The text as it may pass. One that is JSON stays it."""
        value = as_json(text)
        if value is not None:
            try:
                made = await self.value(value)
            except RecursionError:  # nested deeper than anything that is meant: searched as a text like any other
                pass
            else:
                return text if made is value else dumped(made)
        if not text or text.isspace():
            return text
        return self.handled(text, await self._entities(text))

    async def parts(self, texts: Sequence[str]) -> list[str]:
        """The texts of one message as they may pass. A value that is split over several is found as well, and replaced in the
        one that it begins in."""
        if len(texts) < 2:
            return [await self.text(text) for text in texts]
        splits = await split_values(texts, self._entities_again)
        values = {(each.entity.start, each.entity.end): each.value for each in splits}
        kept = self._kept("".join(texts), [each.entity for each in splits])
        by = [(one, self._by(one, values[one.start, one.end])) for one in kept]
        whole = without(texts, [(one, it) for one, it in by if it is not None])
        return [await self.text(text) for text in whole]

    async def value(self, value: Any) -> Any:
        """A value of JSON as it may pass; the same object where nothing is changed."""
        leaves = Leaves(value)
        if not leaves.text or leaves.text.isspace():
            return value
        entities = await self._entities(leaves.text)
        return leaves.replaced(self._kept(leaves.text, entities, marked=False), self._by)

    async def _entities(self, text: str) -> Sequence[Entity]:
        [entities], self._searched = await self._privacy.entities([text], searched=self._searched)
        return entities

    async def _entities_again(self, text: str) -> Sequence[Entity]:
        """The same of what is searched a second time: it is not counted twice."""
        [entities], _ = await self._privacy.entities([text])
        return entities

    def handled(self, text: str, entities: Sequence[Entity]) -> str:
        """The text with its entities, which are known, handled."""
        kept = self._kept(text, entities)
        by = [self._by(one, text[one.start : one.end]) for one in kept]
        found = [(one, it) for one, it in zip(kept, by, strict=True) if it is not None]
        return replaced(text, [one for one, _ in found], [it for _, it in found])

    def told(self) -> None:
        """Report what was found, in the request's context and as one event a place."""
        for place, counts in self._counts.items():
            current().found(place.value, counts)
            report("pii.found", capability=current().capability, place=place.value, types=dict(sorted(counts.items())))
        self._counts.clear()

    def _kept(self, text: str, entities: Sequence[Entity], *, marked: bool = True) -> list["_Placed"]:
        """Those that a rule is for. The first one that blocks ends all."""
        if not entities:
            return []
        own = self._privacy.spans_of_own_words(text) if marked else []
        retrieved = [span for each in self._record.retrieved for span in occurrences(text, each)] if marked else []
        kept: list[_Placed] = []
        for one in entities:
            if _inside(one, own):
                continue
            place = Place.RETRIEVED if self._first is Place.PROMPTS and _touches(one, retrieved) else self._first
            mode = self._modes.get(place, {}).get(one.type)
            value = text[one.start : one.end]
            if mode is None or (self._exempt and same(value) in self._record.said):
                continue
            self._counts.setdefault(place, Counter())[one.type.value] += 1
            if mode is PIIMode.BLOCK:
                self._refuse(place)
            kept.append(_Placed(one.type, one.start, one.end, one.score, place))
        return kept

    def _refuse(self, place: Place) -> None:
        blocked = sorted(kind for kind in self._counts[place] if self._modes[place][PIIType(kind)] is PIIMode.BLOCK)
        self.told()
        report("pii.blocked", capability=current().capability, place=place.value, types=blocked)
        types = ", ".join(blocked)
        raise PersonalDataBlocked(f"The policy lets no personal data of these types pass ({place.value}): {types}.")

    def _by(self, one: Entity, value: str) -> str | None:
        """What an entity is replaced by; None where it stays."""
        place = one.place if isinstance(one, _Placed) else self._first
        mode = self._modes[place][one.type]
        if mode is PIIMode.DETECT:
            return None
        if mode is PIIMode.REDACT or self._for_good:
            return f"<{one.type.value}>"
        pseudonym = self._record.pseudonyms.pseudonym(one.type, value)
        if place is not Place.ANSWERS:  # what is written down goes to a model with the next turn
            self._record.given.add(pseudonym)
            if place is Place.PROMPTS:
                self._record.said.add(same(value))
        return pseudonym


@dataclass(frozen=True, slots=True)
class _Placed(Entity):
    """An entity, and whose rules it falls under."""

    place: Place = Place.PROMPTS


def occurrences(text: str, part: str) -> list[tuple[int, int]]:
    """Where a part stands in a text."""
    spans, at = [], text.find(part) if part else -1
    while at >= 0:
        spans.append((at, at + len(part)))
        at = text.find(part, at + len(part))
    return spans


def _inside(one: Entity, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start <= one.start and one.end <= end for start, end in spans)


def _touches(one: Entity, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start < one.end and one.start < end for start, end in spans)
