"""Prompt injection: texts that try to take the model away from its instructions, by what such texts are known to say.

Heuristics find the usual ways of putting it, in plain view, with hidden characters, or in base64; they do not find what is put
in a new way. Marks that would end or forge the ones that found passages stand in (spotlighting) are looked for as well.
"""

import asyncio
import base64
import binascii
import re
from functools import partial
from typing import ClassVar, Final

from pydantic import Field

from chains.guards.base import Finding, Guard, Options
from chains.guards.readings import readings
from core.policies.policy import Side

#: What takes back what follows: instructions often say never to tell the prompt.
_NOT: Final = r"(?<!\bnever )(?<!\bdo not )(?<!\bdon't )(?<!\bdon’t )(?<!\bmust not )(?<!\bshould not )(?<!\bmay not )"
_ANY: Final = r"(?:\W+\w+){0,5}?\W+"
_RULES: Final = r"(?:instructions?|prompts?|rules|guidelines|directives|programming)"
_HIDDEN: Final = r"(?:system|initial|hidden|original|secret|developer|internal|above|previous)"
#: By reason: how sure it is, and what says so. Case is folded and runs of blanks are one before they are looked for.
_SIGNS: Final = {
    "override": (
        0.9,
        rf"\b(?:ignore|disregard|forget|override|bypass|neglect|discard|overrule){_ANY}?"
        rf"(?:previous|prior|above|earlier|preceding|foregoing|existing|original|initial|all|any|your|system|safety)\b{_ANY}?{_RULES}\b"
        rf"|\b(?:ignore|disregard|forget|bypass)\W+(?:the\W+|your\W+|all\W+|these\W+)*{_RULES}\W+(?:above|before|that\W+you|you|given)\b"
        r"|\b(?:ignore|disregard|forget)\W+(?:everything|all|anything)\W+(?:above|before|prior|previous|you\W+(?:were|have\W+been))"
        r"|\bignorier\w*\W+(?:\w+\W+){0,3}?(?:vorherigen?|bisherigen?|obigen?|alle)\W+(?:\w+\W+){0,2}?(?:anweisungen|regeln|vorgaben)"
        r"|\bignore[rz]?\W+(?:\w+\W+){0,3}?instructions\W+(?:pr[ée]c[ée]dentes|ant[ée]rieures)"
        r"|\bignor[ae]\W+(?:\w+\W+){0,3}?instrucciones\W+(?:anteriores|previas)",
    ),
    "new_instructions": (
        0.75,
        rf"\b(?:your|here\W+are|these\W+are)\W+(?:\w+\W+)?new\W+{_RULES}\b|\bnew\W+(?:system|developer)\W+prompt\b"
        r"|\bfrom\W+now\W+on\W+you\W+(?:are|will|must|shall|have\W+to|should)\b",
    ),
    "prompt_extraction": (
        0.85,
        rf"\b(?:reveal|print|show|repeat|output|display|expose|leak|recite|dump|tell\W+me|give\W+me|write\W+out|translate|summari[sz]e|"
        rf"what\W+(?:is|are|was|were)){_ANY}?(?:(?:{_HIDDEN}\W+)+{_RULES}|your\W+(?:{_HIDDEN}\W+)*(?:instructions|prompt|guidelines))\b"
        r"|\b(?:repeat|print|output|copy)\W+(?:\w+\W+){0,4}?(?:everything|all|text|words)\W+(?:\w+\W+)?(?:above|before\W+this)",
    ),
    "jailbreak": (
        0.85,
        r"\bdo\W+anything\W+now\b|\b(?:dan|developer|god|jailbreak|unrestricted|debug|sudo)\W+mode\W+(?:is\W+)?(?:enabled|on|activated)"
        r"|\b(?:enable|activate|enter|switch\W+to)\W+(?:\w+\W+)?(?:dan|developer|god|jailbreak|unrestricted|sudo)\W+mode\b"
        r"|\b(?:act|behave|respond|answer|pretend|roleplay|role\W+play|you\W+are|you\W+will\W+be)\b(?:\W+\w+){0,12}?\W+"
        r"(?:without|no|free\W+(?:of|from))\W+(?:any\W+)?(?:ethical\W+|moral\W+|safety\W+|content\W+)?"
        r"(?:restrictions|limitations|limits|filters?|rules|guidelines|censorship|constraints|guardrails)\b"
        r"|\b(?:uncensored|unfiltered|jailbroken|amoral)\W+(?:ai|assistant|model|chatbot|llm|language\W+model)\b",
    ),
    "addressed_to_the_model": (
        0.75,
        r"\b(?:important|hidden|secret|special)?\W*(?:instructions?|note|message)\W+(?:to|for)\W+(?:the\W+|any\W+|all\W+)?"
        r"(?:ai|assistant|assistants|llm|llms|language\W+models?|chatbots?|model)\b"
        r"|\b(?:ai|llm|language\W+model|chatbot)s?\W+(?:reading|processing|summari[sz]ing|that\W+reads?)\W+this\b",
    ),
    "exfiltration": (
        0.75,
        r"\b(?:send|post|forward|upload|transmit|exfiltrate|append|include)\b(?:\W+\w+){0,12}?\W+(?:conversation|history|prompt|context|"
        r"secrets?|credentials?|passwords?|api\W+keys?|user\W+data|personal\W+data)\b(?:\W+\w+){0,10}?\W+(?:to|as|in)\b[^\n]{0,40}https?:",
    ),
}
#: An order that is forbidden is none.
_ORDERS: Final = ("override", "prompt_extraction")
_COMPILED: Final = {
    reason: (score, re.compile(rf"{_NOT}(?:{pattern})" if reason in _ORDERS else pattern))
    for reason, (score, pattern) in _SIGNS.items()
}
#: What would forge the marks of chat templates.
_TEMPLATE_MARKS: Final = re.compile(
    r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id)\|>|\[/?INST\]|<</?SYS>>", re.I
)
#: What would end our own marks round found text, or begin another's turn.
_MARKS: Final = re.compile(
    r"</?\s*(?:source|attachment|documents?|context|system|instructions?)(?:\s[^>]{0,80})?>"
    r"|^\s{0,3}(?:#{1,6}\s*)?(?:system|assistant|developer)\s*(?:prompt|message|instructions?)?\s*:",
    re.I | re.M,
)
#: Letters that nobody sees.
_TAGS: Final = re.compile("[\U000e0020-\U000e007e]{8,}")
_BASE64: Final = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/_-]{24,4000}={0,2}")
_MOST_DECODED: Final = 20
#: The patterns' time grows with the text and no faster, but for their bounded gaps; a piece bounds those as well.
_PIECE: Final = 4000
#: From so many characters on (some 2 ms) the event loop is not held up.
_LONG: Final = 3000


class InjectionOptions(Options):
    """`threshold`: the score from which on a text is stopped. Marks of templates count 0.7."""

    threshold: float = Field(0.7, gt=0, le=1)


class PromptInjection(Guard):
    """Objects to texts that say what injections say."""

    options_type = InjectionOptions
    sides: ClassVar[frozenset[Side]] = frozenset({Side.INPUTS, Side.RETRIEVED})
    usual: ClassVar[tuple[Side, ...]] = (Side.INPUTS, Side.RETRIEVED)

    async def read(self, text: str) -> Finding | None:
        return await self._read(text, marks=True)

    async def read_beside(self, text: str) -> Finding | None:
        """The same, but for marks such as `<context>`, which instructions and descriptions are often written with."""
        return await self._read(text, marks=False)

    async def _read(self, text: str, *, marks: bool) -> Finding | None:
        look = partial(strongest, text, marks=marks)
        found = await asyncio.to_thread(look) if len(text) > _LONG else look()
        return found if found is not None and found.score >= self.options.threshold else None


def strongest(text: str, *, marks: bool = True) -> Finding | None:
    """The surest sign of an injection in a text; None where there is none. Without `marks`, of marks those of chat templates
    alone count."""
    best: Finding | None = None
    for start in range(0, max(len(text), 1), _PIECE - 400):
        for found in _signs(text[start : start + _PIECE], marks=marks):
            if best is None or found.score > best.score:
                best = found
    return best


def _signs(text: str, *, marks: bool) -> list[Finding]:
    kinds = (_TEMPLATE_MARKS, _MARKS) if marks else (_TEMPLATE_MARKS,)
    forged = any(kind.search(way) for way in readings(text) for kind in kinds)
    found = [Finding("forged_marks", 0.7)] if forged else []
    if _TAGS.search(text):
        found.append(Finding("hidden_text", 0.9))
    plain = _plain(text)
    found += [Finding(reason, score) for reason, (score, sign) in _COMPILED.items() if any(map(sign.search, plain))]
    for hidden in _decoded(text):
        if any(sign.search(hidden) for _, sign in _COMPILED.values()):
            found.append(Finding("encoded", 0.95))
            break
    return found


def _plain(text: str) -> tuple[str, ...]:
    """The text in the ways that it can be read, in small letters, runs of blanks as one."""
    return tuple({re.sub(r"\s+", " ", way.casefold()) for way in readings(text)})


def _decoded(text: str) -> list[str]:
    """What base64 in the text says, where it says something."""
    texts: list[str] = []
    for match in list(_BASE64.finditer(text))[:_MOST_DECODED]:
        coded = match[0].rstrip("=").replace("-", "+").replace("_", "/")
        try:
            said = base64.b64decode(coded + "=" * (-len(coded) % 4)).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
        texts += _plain(said)
    return texts
