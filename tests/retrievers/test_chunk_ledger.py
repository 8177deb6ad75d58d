"""Lists of chunks: what goes in comes out again, small, whatever the chunks have."""

import pytest

from retrievers.base import Chunk
from retrievers.chunk_ledger import digest, fold, pack, unpack

TEXT = "Of pumps. " * 2000


def chunks(number: int, **attributes: object) -> list[Chunk]:
    return [
        Chunk(
            id=f"chk_{n:032x}",
            document_id="doc_a",
            document="a.md",
            revision=3,
            text=TEXT[n * 10 : n * 10 + 9],
            start=n * 10,
            end=n * 10 + 9,
            page=n // 7 or None,
            context=f"Pumps › Chapter {n // 20}",
            attributes=attributes,
        )
        for n in range(number)
    ]


@pytest.mark.parametrize("made", [[], chunks(1), chunks(2000, year=2024, open=True)], ids=["none", "one", "many"])
def test_chunks_come_back_as_they_were(made: list[Chunk]) -> None:
    assert unpack(pack(made), TEXT, document_id="doc_a", name="a.md") == made


def test_a_list_holds_no_text_and_little_else() -> None:
    packed = pack(chunks(2000, kind="manual"))
    assert len(packed) < 2000 * 30


@pytest.mark.parametrize("packed", [b"", b"nonsense", pack(chunks(3))[:-5]], ids=["empty", "nonsense", "cut"])
def test_what_is_no_list_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="no list"):
        unpack(packed, TEXT, document_id="doc_a", name="a.md")


def test_a_digest_tells_sets_apart_whatever_their_order() -> None:
    assert digest(["a", "b", "c"]) == digest(["c", "a", "b"]) != digest(["a", "b"])
    assert digest(["a", "a"]) != digest([]) == "0" * 16
    assert fold(["c"], fold(["a", "b"])) == fold(["a", "b", "c"])
