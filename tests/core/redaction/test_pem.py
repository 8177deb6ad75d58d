import base64
import json
import random

import pytest

from core.redaction import credentials, pem

LABEL = "RSA PRIVATE KEY-----"


def base64_lines(count: int, length: int = 64, seed: int = 3) -> list[str]:
    drawn = base64.b64encode(random.Random(seed).randbytes(count * length)).decode()
    return [drawn[i * length : (i + 1) * length] for i in range(count)]


def key(lines: list[str], end_of_line: str = "\n") -> str:
    return end_of_line.join(["-----BEGIN " + LABEL, *lines, "-----END " + LABEL])


def found(text: str) -> list[str]:
    return [text[start:end] for start, end in pem.find(text)]


@pytest.mark.parametrize("end_of_line", ["\n", "\r\n", "\\n", "\\\\n", "\n> ", '",\n  "'], ids=range(6))
def test_a_key_is_found_whose_end_is_missing(end_of_line: str) -> None:
    cut = key(base64_lines(13), end_of_line)[:-300]
    assert found(f"Fix this key: {cut}") == [cut]


def test_what_stands_behind_an_open_key_stays() -> None:
    cut = "\n".join(["-----BEGIN " + LABEL, *base64_lines(5)])
    assert found(f"{cut}\n\nPlease fix it for me, it is broken.") == [cut]


def test_the_headers_of_a_key_belong_to_it() -> None:
    cut = "\n".join(["-----BEGIN " + LABEL, "Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,00FF", "", *base64_lines(3)])
    assert found(cut) == [cut]


def test_a_key_is_found_whose_beginning_is_missing() -> None:
    cut = "\n".join([*base64_lines(3), "AbC+12==", "-----END " + LABEL])
    assert found(cut) == [cut]
    assert found("AbC+12==\n-----END " + LABEL + "\nprose") == ["AbC+12==\n-----END " + LABEL]


@pytest.mark.parametrize("length", [64, 70, 76])
@pytest.mark.parametrize("end_of_line", ["\n", "\\n"], ids=["plain", "escaped"])
def test_lines_of_a_key_are_found_without_beginning_and_end(length: int, end_of_line: str) -> None:
    piece = end_of_line.join(base64_lines(2, length))
    assert found(piece) == [piece]
    assert found(f"{end_of_line}{piece}{end_of_line}") == [piece]
    assert [one.type.value for one in credentials.find(piece)] == ["SECRET"]


def test_the_rests_of_cut_lines_belong_to_a_piece() -> None:
    piece = "\n".join(base64_lines(6))[20:-24]
    assert found(piece) == [piece]


@pytest.mark.parametrize(
    "text",
    [
        "A file that begins with -----BEGIN " + LABEL + " is a private key, and nobody may see it.",
        base64_lines(1)[0],
        "\n".join(base64_lines(4, 60)),
        "\n".join(line.lower() for line in base64_lines(4)),
        "\n".join(f"{random.Random(n).getrandbits(256):064x}" for n in range(9)),
        "\n".join("A" * 64 for _ in range(9)),
        "-----BEGIN CERTIFICATE-----\n" + "\n".join(base64_lines(6)) + "\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\n" + "\n".join(base64_lines(6)),
        "\n".join(base64_lines(6)) + "\n-----END CERTIFICATE-----",
        "data:image/png;base64,\n" + "\n".join(base64_lines(6, 76)),
        "iVBORw0KGgoA" + base64_lines(1)[0][12:] + "\n" + "\n".join(base64_lines(6)),
        json.dumps({"path": "/srv/application/releases/20240101/lib\nsrc/main/java/com/example/Service2Application"}),
    ],
    ids=range(12),
)
def test_what_is_no_private_key_stays(text: str) -> None:
    assert found(text) == []


def test_a_block_may_be_cut_behind_every_other_line() -> None:
    lines = base64_lines(9)
    text = f"Here: {key(lines)}, and more."
    (block,) = pem.blocks(text, 0, len(text))
    assert text[block.start : block.end] == key(lines)
    assert [text[last : last + 64] for _, last in block.breaks] == lines[2:8:2]
