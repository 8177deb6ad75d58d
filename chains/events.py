"""Questions whether something was done (`Did the board buy the boat?`): only a sentence that speaks of it itself answers them.

What stands beside it in its section was mostly done to something else.
"""

import re
from dataclasses import replace

from chains.languages import language_of
from chains.quotes import REFERS, Quote, plain
from chains.specifics import Embed, Ground, Specifics, Words
from chains.surroundings import neighbours

_DONE = {
    "en": re.compile(r"^\W*(?:(?:and|but|so)\s+)?(?:did|has|have|had|was|were)\b(?!\s+there\b)", re.I),
    "de": re.compile(r"^\W*(?:(?:und|aber)\s+)?(?:hat|haben|hatten?|wurden?|war(?:en)?)\b", re.I),
}
#: What may, must or should be done was not done yet.
_MODAL = re.compile(
    r"\b(?:may|can|must|should|shall|needs? to|has to|have to|darf|dürfen|kann|können|muss|müssen|soll|sollen)\b", re.I
)


def asks_whether_done(question: str) -> bool:
    """Told of English and German questions alone."""
    language = language_of(question)
    form = None if language is None else _DONE.get(language.code)
    return form is not None and bool(form.search(question))


def says_it_was_done(quote: Quote, asked: Specifics, *, embed: Embed, words: Words) -> bool:
    """Whether a quote itself has the names of what is asked, and most of its words. The title names what all of a document is
    of; a sentence that points (`It was sold`) has what stands before it, and the heading above. Blocks while `embed` reads."""
    if _MODAL.search(quote.text):
        return False
    title = f"{quote.chunk.document}\n{quote.title}"
    said = f"{quote.columns}\n{quote.text}"
    if REFERS.match(plain(quote.text)):
        said = f"{quote.heading}\n{neighbours(quote)[0]}\n{said}"
    named = Ground(f"{title}\n{said}", words)
    if not all(map(named.knows, asked.names)):
        return False
    ground = Ground(said, words)
    unnamed = replace(asked, names=(), numbers=(), numbered=())
    missing = len(unnamed.missing(ground, embed=embed)) + sum(not ground.knows(name) for name in asked.names)
    return 2 * missing < max(1, len(asked.names) + len(asked.terms))
