"""Sealed files: every size, and none cut, reordered, joined or moved."""

import io
import secrets

import pytest

from core.encryption.envelope import HEADER_BYTES, MAGIC, NONCE_BYTES, DataKey, Place, seal
from core.encryption.streams import CHUNK_BYTES, open_bytes, open_stream, seal_bytes
from core.errors import DecryptionFailed

KEY = DataKey(b"k" * 12, "acme", bytes(range(32)))
PLACE = Place("acme", "files", "content", "col_1/doc_1/original")
SEALED_CHUNK, START = CHUNK_BYTES + 16, HEADER_BYTES + NONCE_BYTES


def find(key_id: bytes) -> DataKey:
    assert key_id == KEY.id
    return KEY


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 5])
def test_a_file_of_any_size_comes_back(size: int) -> None:
    data = secrets.token_bytes(size)
    sealed = seal_bytes(KEY, PLACE, data)
    assert open_bytes(find, PLACE, sealed) == data
    assert size < 8 or data[:64] not in sealed


def test_a_file_is_opened_for_its_tenant_and_under_its_key_alone() -> None:
    sealed = seal_bytes(KEY, PLACE, b"secret")
    for place in (Place("evil", "files", "content", PLACE.row), Place("acme", "files", "content", "col_1/doc_2/original")):
        with pytest.raises(DecryptionFailed):
            open_bytes(find, place, sealed)


def chunks_of(sealed: bytes) -> tuple[bytes, list[bytes]]:
    head, body = sealed[:START], sealed[START:]
    return head, [body[first : first + SEALED_CHUNK] for first in range(0, len(body), SEALED_CHUNK)]


@pytest.mark.parametrize("order", [[0], [0, 1], [1, 0, 2], [0, 0, 1, 2], [0, 2], [0, 1, 2, 2], []])
def test_chunks_that_are_dropped_doubled_or_reordered_are_noticed(order: list[int]) -> None:
    head, chunks = chunks_of(seal_bytes(KEY, PLACE, secrets.token_bytes(2 * CHUNK_BYTES + 10)))
    with pytest.raises(DecryptionFailed):
        open_bytes(find, PLACE, head + b"".join(chunks[number] for number in order))


def test_a_chunk_of_another_file_of_the_same_name_does_not_fit() -> None:
    head, chunks = chunks_of(seal_bytes(KEY, PLACE, bytes(CHUNK_BYTES + 1)))
    _, others = chunks_of(seal_bytes(KEY, PLACE, bytes(CHUNK_BYTES + 1)))
    with pytest.raises(DecryptionFailed):
        open_bytes(find, PLACE, head + chunks[0] + others[1])


@pytest.mark.parametrize("data", [b"", b"ab", b"plain text", MAGIC, MAGIC + b"\x02" + bytes(100), bytes(3 * CHUNK_BYTES)])
def test_a_file_that_was_never_sealed_is_copied(data: bytes) -> None:
    assert open_bytes(find, PLACE, seal_bytes(None, PLACE, data)) == data
    if not data.startswith(MAGIC):
        assert open_bytes(find, PLACE, data) == data


def test_a_sealed_value_is_no_sealed_file() -> None:
    with pytest.raises(DecryptionFailed):
        open_bytes(find, PLACE, seal(KEY, PLACE, b"secret"))


def test_nothing_of_a_changed_first_chunk_is_given() -> None:
    sealed = bytearray(seal_bytes(KEY, PLACE, b"secret"))
    sealed[-1] ^= 1
    target = io.BytesIO()
    with pytest.raises(DecryptionFailed):
        open_stream(find, PLACE, io.BytesIO(bytes(sealed)), target)
    assert target.getvalue() == b""
