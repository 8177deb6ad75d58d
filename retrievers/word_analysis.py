"""A text's words as they are compared: lower case, without accents, stemmed, without those that tell nothing.

The word index and the stores that find words themselves have them from here, so that they agree on what a word is.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tantivy import TextAnalyzer

#: Words of asking, beside tantivy's short list of stop words: in a small collection they are rare, and would count for much.
_ASKING = re.findall(
    r"\w+",
    "about am any can could did do does doing done explain from had has have having he her his how i its kindly many may me "
    "might much my our please shall she should tell them those us was we were what when where which who whom whose why would "
    "you your",
)
#: Scripts written without blanks between words: each character is indexed as a word.
UNSPACED = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f\u0e80-\u0eff\u1780-\u17ff])")


class Words:
    """Thread-safe. What it finds of a text changes with `retrievers.lexical.VERSION` alone."""

    def __init__(self) -> None:
        self._analyzer = new_analyzer()

    def of(self, text: str) -> list[str]:
        """The words of a text, in order, as often as they are there."""
        return list(self._analyzer.analyze(spaced(text)))


def new_analyzer() -> "TextAnalyzer":
    """tantivy's, for an index, whose texts are `spaced` first."""
    import tantivy

    builder: Any = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for step in (
        tantivy.Filter.remove_long(64),
        tantivy.Filter.lowercase(),
        tantivy.Filter.ascii_fold(),
        tantivy.Filter.stopword("english"),
        tantivy.Filter.custom_stopword(_ASKING),
        tantivy.Filter.stemmer("english"),
    ):
        builder = builder.filter(step)
    analyzer: TextAnalyzer = builder.build()
    return analyzer


def spaced(text: str) -> str:
    """The text with blanks around each character of a script that has none between words."""
    return UNSPACED.sub(r" \1 ", text)


class StopWords:
    """The words of a language that tell nothing, of Snowball's lists. Thread-safe. Languages are named as in `spanish`."""

    def __init__(self, language: str) -> None:
        import tantivy

        builder: Any = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace())
        self._analyzer: TextAnalyzer = builder.filter(tantivy.Filter.stopword(language)).build()

    def without(self, words: Sequence[str]) -> list[str]:
        """Those of the words, in small letters, that tell something."""
        return list(self._analyzer.analyze(" ".join(words)))
