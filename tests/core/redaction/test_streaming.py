import random

import pytest

from core.redaction.analyser import Analyser
from core.redaction.replacement import Pseudonyms, redacted
from core.redaction.streaming import StreamRedactor, StreamRestorer

TEXT = (
    "Thank you for writing. Ms. Ingrid Halvorsen can be reached at +47 22 34 56 78, or by ingrid.halvorsen@fjordmail.no on any "
    "day. The refund of forty euros goes to DE89 3704 0044 0532 0130 00 as agreed, and the card 4111 1111 1111 1111 is closed. "
    "Please let us know whether anything else is needed, and keep the receipt until the refund came. The server 203.0.113.77 "
    "was used with the key " + "gh" + "p_" + "a1B2" * 9 + " and that key has been revoked since. We are sorry for the trouble."
)
VALUES = ("Halvorsen", "22 34 56", "fjordmail", "3704", "4111", "203.0.113", "a1B2")


@pytest.fixture(scope="module")
def analyser() -> Analyser:
    return Analyser()


def pieces(text: str, seed: int) -> list[str]:
    chance, cut, rest = random.Random(seed), [], text
    while rest:
        size = chance.choice((1, 2, 3, 5, 17, 60))
        cut.append(rest[:size])
        rest = rest[size:]
    return cut


@pytest.mark.parametrize("seed", range(4))
async def test_a_value_split_across_pieces_is_taken_out_as_from_the_whole(analyser: Analyser, seed: int) -> None:
    stream = StreamRedactor(analyser)
    said = "".join([await stream.feed(piece) for piece in pieces(TEXT, seed)]) + await stream.finish()
    assert not [value for value in VALUES if value in said]
    assert said == redacted(TEXT, analyser.detect(TEXT))[0]


async def test_text_is_said_while_the_stream_goes_on(analyser: Analyser) -> None:
    stream = StreamRedactor(analyser)
    said = [await stream.feed(piece) for piece in pieces(TEXT, 1)]
    assert sum(map(bool, said)) >= 2


async def test_a_private_key_longer_than_what_is_kept_back_is_never_begun(analyser: Analyser) -> None:
    key = "-----BEGIN " + "RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA7 b\n" * 60 + "-----END " + "RSA PRIVATE KEY-----"
    stream = StreamRedactor(analyser)
    text = f"Here is what you asked for, in full:\n{key}\nAnd that is all there is to say of it."
    said = "".join([await stream.feed(piece) for piece in pieces(text, 3)]) + await stream.finish()
    assert "MIIE" not in said
    assert said.endswith("And that is all there is to say of it.")


@pytest.mark.parametrize("seed", range(6))
def test_pseudonyms_split_across_pieces_come_back(seed: int) -> None:
    pseudonyms = Pseudonyms({"<PERSON_1>": "Ana", "<PERSON_12>": "Bo", "<EMAIL_ADDRESS_1>": "ana@example.org"})
    text = "a < b, <b>not</b> <PERSON_1>: <PERSON_12> wrote <EMAIL_ADDRESS_1><PERSON_1>. <PERSON_"
    stream = StreamRestorer(pseudonyms)
    said = "".join(stream.feed(piece) for piece in pieces(text, seed)) + stream.finish()
    assert said == pseudonyms.restore(text)
    assert "Bo wrote ana@example.orgAna" in said


def test_text_that_cannot_become_a_pseudonym_is_not_kept_back() -> None:
    stream = StreamRestorer(Pseudonyms({"<PERSON_1>": "Ana"}))
    assert stream.feed("if a < b then <p>") == "if a < b then <p>"
    assert stream.feed(" <PERS") == " "
    assert stream.feed("ON_1>!") == "Ana!"
