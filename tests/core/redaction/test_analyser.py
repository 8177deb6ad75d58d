import asyncio
import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from core.errors import RateLimited
from core.redaction.analyser import PIECE, Analyser
from core.redaction.entities import Entity, PIIType, without_overlaps
from core.redaction.places import find as find_places
from infra.bench.pii import scored

LABELLED = json.loads((Path(__file__).parent / "labelled.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def analyser() -> Analyser:
    return Analyser()


def seen(analyser: Analyser, text: str) -> list[tuple[str, str]]:
    return [(one.type.value, text[one.start : one.end]) for one in analyser.detect(text)]


def test_the_labelled_sample_is_found(analyser: Analyser) -> None:
    scores = scored(LABELLED, [analyser.detect(row["full_text"]) for row in LABELLED])
    assert scores.structured == 1
    assert scores.precision >= 0.95
    assert scores.f2 >= 0.95


@pytest.mark.parametrize(
    "text",
    [
        "How many requests can I send at once, and what happens above that?",
        "Python 3.11 was released after version 3.10.2; see chapter 4, page 112.",
        "Set max_tokens to 2048 and the timeout to 30000 ms.",
        "It took 20 minutes to walk 3 miles, and 5 of the 12 lamps were out.",
        "The build 2024.11.03-1 fails in step 7 of 12.",
        "for i in range(1000): total += values[i] * 0.5",
        "",
        " \n\t ",
    ],
)
def test_texts_without_personal_data_are_left_alone(analyser: Analyser, text: str) -> None:
    kinds = {kind for kind, _ in seen(analyser, text)}
    assert kinds <= {"DATE_TIME"}


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("DB_PASSWORD=Tr0ub4dor&3xyz", "Tr0ub4dor&3xyz"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY"),
        ("Ocp-Apim-Subscription-Key: 0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
    ],
)
def test_the_name_of_a_secret_is_nobodys(analyser: Analyser, text: str, secret: str) -> None:
    assert seen(analyser, text) == [("SECRET", secret)]


@pytest.mark.parametrize("code", ['x="{}"', "name='{}'", 'User("{}", 3)', '["{}","x"]', '{{"author":"{}"}}'])
def test_a_name_within_code_is_found_whole(analyser: Analyser, code: str) -> None:
    assert ("PERSON", "Maria Schmidt") in seen(analyser, code.format("Maria Schmidt"))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("I live at 12 main street in town", "12 main street"),
        ("ul. Długa 12\nKraków\nPoland 31147", "ul. Długa 12\nKraków\nPoland 31147"),
        ("Send it to 8 rue Victor Hugo, 69002 Lyon, France.", "8 rue Victor Hugo, 69002 Lyon, France"),
        ("Our office: Lindenstraße 41\n10969 Berlin", "Lindenstraße 41\n10969 Berlin"),
        ("Return to PSC 8103, Box 6606\nAPO AE 90461", "PSC 8103, Box 6606\nAPO AE 90461"),
        ("Meet me at the corner of Elm Street and Oak Avenue", "the corner of Elm Street and Oak Avenue"),
        ("33 Πατησίων 12\n Apt. 4\n ΑΘΗΝΑ\n Greece 10434", "33 Πατησίων 12\n Apt. 4\n ΑΘΗΝΑ\n Greece 10434"),
    ],
)
def test_an_address_is_found_whole_over_lines_and_commas(analyser: Analyser, text: str, address: str) -> None:
    assert ("ADDRESS", address) in seen(analyser, text)


def test_offsets_count_characters_and_not_bytes_or_code_units(analyser: Analyser) -> None:
    text = "😀 Grüße, é: write to ana@example.org 😀 or call +49 30 901820"
    assert seen(analyser, text) == [("EMAIL_ADDRESS", "ana@example.org"), ("PHONE_NUMBER", "+49 30 901820")]


def test_findings_are_in_order_and_never_overlap(analyser: Analyser) -> None:
    text = "\n".join(row["full_text"] for row in LABELLED)
    found = analyser.detect(text)
    assert all(first.end <= second.start for first, second in pairwise(found))
    assert all(0 <= one.start < one.end <= len(text) and 0 < one.score <= 1 for one in found)


def test_a_value_across_the_cut_of_a_long_text_is_found_whole(analyser: Analyser) -> None:
    iban = "DE89 3704 0044 0532 0130 00"
    for shift in range(0, 30, 5):
        text = "x" * (PIECE - 40 + shift) + f" {iban} " + "and so on. " * 50
        assert ("IBAN_CODE", iban) in seen(analyser, text)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("Visit Portugal, São Tomé and Príncipe or the U.S. soon", ["Portugal", "São Tomé and Príncipe", "U.S."]),
        ("Tell us: turkey with rice, or chad?", []),
        ("democratic republic of the congo", ["democratic republic of the congo"]),
        ("Guinea-Bissau and Niger.", ["Guinea-Bissau", "Niger"]),
    ],
)
def test_countries_are_found_by_name_and_words_that_only_sound_like_one_are_not(text: str, places: list[str]) -> None:
    found = [text[one.start : one.end] for one in find_places(text) if one.score > 0.5]
    assert found == places


def test_a_long_run_without_a_blank_hides_nothing_around_it(analyser: Analyser) -> None:
    text = f"Ask Hannah Miller about {'_' * 5000} or ana@example.org"
    assert seen(analyser, text) == [("PERSON", "Hannah Miller"), ("EMAIL_ADDRESS", "ana@example.org")]


def test_a_number_behind_a_word_does_not_make_it_a_name(analyser: Analyser) -> None:
    assert seen(analyser, "Card 4111 1111 1111 1111") == [("CREDIT_CARD", "4111 1111 1111 1111")]


def test_what_overlaps_is_cut_and_nothing_that_one_of_both_saw_is_left_standing() -> None:
    found = [Entity(PIIType.PERSON, 0, 9, 0.6), Entity(PIIType.EMAIL_ADDRESS, 4, 20, 1.0)]
    kept = without_overlaps(found, "Ana ana.maria@mail.org")
    assert [(one.type.value, one.start, one.end) for one in kept] == [("PERSON", 0, 4), ("EMAIL_ADDRESS", 4, 20)]


async def test_the_loop_goes_on_while_a_text_is_read(analyser: Analyser) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    [entities] = await analyser.adetect(["Write to ana@example.org. " * 200])
    ticking.cancel()
    assert len(entities) == 200
    assert ticks > 10


async def test_too_many_at_once_are_refused_and_the_others_served(analyser: Analyser) -> None:
    asked = [asyncio.create_task(analyser.adetect(["ana@example.org"])) for _ in range(80)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, RateLimited)]
    assert {error.code for error in refused} == {"queue_full"}
    assert len(answers) - len(refused) == 64
    assert (await analyser.adetect(["ana@example.org"]))[0]


async def test_an_analyser_that_was_never_asked_loads_nothing_and_closes() -> None:
    code = "import sys; import core.redaction.analyser as a; a.Analyser().close(); print('spacy' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert out.strip() == b"False"


def test_nothing_is_fetched_for_a_web_address(analyser: Analyser) -> None:
    """The suite forbids sockets beyond loopback: the suffix list has to be the one that came along."""
    assert seen(analyser, "visit shop.example.co.uk/cart or https://münchen.de/x today") == [
        ("URL", "shop.example.co.uk/cart"),
        ("URL", "https://münchen.de/x"),
    ]
