import pytest

from chains.languages import is_refusal, language_of, languages


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ("¿A qué hora abre la biblioteca?", "es"),
        ("Quanto costa il biglietto?", "it"),
        ("Quanto custa o almoço?", "pt"),
        ("Combien coûte l'abonnement annuel ?", "fr"),
        ("Hoe laat opent de bakkerij?", "nl"),
        ("Wann beginnt die Nachtruhe?", "de"),
        ("What is die casting?", "en"),
    ],
)
def test_a_questions_language_is_told_by_its_small_words(question: str, code: str) -> None:
    language = language_of(question)
    assert language is not None
    assert language.code == code


def test_a_text_without_small_words_is_of_no_language() -> None:
    assert language_of("Backup retention 2026") is None


@pytest.mark.parametrize("name", ["nothing", "unread", "empty", "unmatched"])
def test_each_language_says_that_there_is_no_answer(name: str) -> None:
    said = {language.refusal(name, collection="papers", pending="2") for language in languages()}
    assert len(said) == len(languages())
    assert all("papers" in text for text in said)
    assert all(map(is_refusal, said))


def test_an_answer_is_no_refusal() -> None:
    assert not is_refusal("The collection of stamps is shown in May.")
    assert is_refusal("")
