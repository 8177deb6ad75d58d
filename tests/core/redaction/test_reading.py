"""What nobody sees, or reads otherwise than it is written, hides nothing from the search."""

import pytest

from core.redaction.analyser import Analyser
from core.redaction.reading import plain, read
from core.redaction.replacement import Pseudonyms, redacted, same

CARD, MAIL, KEY = "4111 1111 1111 1111", "jane.roe@example.com", "ghp_" + "aB3dE6gH9j" * 4


@pytest.fixture(scope="module")
def analyser() -> Analyser:
    return Analyser()


def wide(text: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text)


@pytest.mark.parametrize(
    ("hidden", "kind"),
    [
        (CARD.replace(" ", "\u200b"), "CREDIT_CARD"),
        (CARD[:7] + "\u200d\u2060" + CARD[7:], "CREDIT_CARD"),
        ("jane.roe\u200b@example.com", "EMAIL_ADDRESS"),
        ("jane\u00ad.roe@exam\ufeffple.com", "EMAIL_ADDRESS"),
        ("jane.roe\uff20example\uff0ecom", "EMAIL_ADDRESS"),
        (wide(MAIL), "EMAIL_ADDRESS"),
        ("jane.roe%40example.com", "EMAIL_ADDRESS"),
        ("jane.roe\\u0040example.com", "EMAIL_ADDRESS"),
        ("jane.ro\\\\u0065@example\\u002ecom", "EMAIL_ADDRESS"),
        (KEY[:14] + "\u200b" + KEY[14:], "SECRET"),
        (wide(KEY), "SECRET"),
        ("536\u200b-22-8726", "US_SSN"),
        ("536\u201122\u20118726", "US_SSN"),
    ],
)
def test_a_value_is_found_whole_behind_what_hides_it(analyser: Analyser, hidden: str, kind: str) -> None:
    text = f"My social security number, card or mail is {hidden}, thanks."
    assert redacted(text, analyser.detect(text))[0] == text.replace(hidden, f"<{kind}>")


def test_a_value_that_is_longer_than_a_piece_is_found_behind_what_hides_it(analyser: Analyser) -> None:
    lines = "\n".join("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj" for _ in range(90))
    key = "-----BEGIN " + f"PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----"
    text = "Keep this: " + key.replace("KEY", "KE\u200bY")
    assert redacted(text, analyser.detect(text))[0] == "Keep this: <SECRET>"


async def test_the_same_is_found_off_the_event_loop(analyser: Analyser) -> None:
    texts = [f"Mail {MAIL}", "Mail jane.roe\u200b@example.com", ""]
    assert await analyser.adetect(texts) == [analyser.detect(text) for text in texts]


def test_what_is_found_as_it_is_written_is_not_hidden_by_how_it_reads(analyser: Analyser) -> None:
    text = f"Send {CARD}\u200b2222 to Maria Schmidt."
    without, _ = redacted(text, analyser.detect(text))
    assert "1111" not in without
    assert "Maria" not in without


def test_most_texts_read_as_they_are_written() -> None:
    assert read("Plain, with 40 % of it.") is None
    assert read("Grüße aus Kraków – Πατησίων 12 “so” 日本") is None


def test_a_character_beyond_the_first_plane_is_escaped_as_two() -> None:
    found = read("a \\ud83d\\ude00 b \\ud83d c")
    assert found is not None
    assert found.text == "a \U0001f600 b \\ud83d c"
    assert (found.starts[2], found.ends[2]) == (2, 14)


def test_what_is_found_is_placed_on_what_was_written() -> None:
    reading = read("a\u200b\uff0540\ufb01 b")
    assert reading is not None
    assert reading.text == "a%40fi b"
    assert (reading.starts, reading.ends) == ((0, 2, 3, 4, 5, 5, 6, 7), (1, 3, 4, 5, 6, 6, 7, 8))


def test_spellings_that_read_the_same_have_one_pseudonym() -> None:
    assert same("4111\u200b1111") == same("41111111")
    assert plain(wide("Jane")) == "Jane"
    given = Pseudonyms({"<EMAIL_ADDRESS_1>": MAIL})
    assert given.restore("<EMAIL_ADDRESS_1>") == MAIL
