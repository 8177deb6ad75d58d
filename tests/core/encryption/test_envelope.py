"""Sealed values: opened in their place alone, and only as they were sealed."""

import json
import secrets
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.encryption.envelope import (
    MAGIC,
    DataKey,
    Place,
    key_id_of,
    opened,
    plain,
    seal,
    seal_json,
    sealed_in_json,
)
from core.errors import DecryptionFailed

KEY = DataKey(b"k" * 12, "acme", bytes(range(32)))
PLACE = Place("acme", "messages", "payload", "msg_1")


def read(stored: bytes) -> bytes:
    """As whoever reads a column does it."""
    return plain(stored) if key_id_of(stored) is None else opened(KEY, PLACE, stored)


@given(st.binary())
def test_what_was_sealed_is_opened_and_does_not_show(data: bytes) -> None:
    sealed = seal(KEY, PLACE, data)
    assert opened(KEY, PLACE, sealed) == data
    assert key_id_of(sealed) == KEY.id
    assert len(data) < 8 or data not in sealed


@pytest.mark.parametrize("part", ["tenant", "table", "column", "row"])
def test_a_value_is_opened_nowhere_but_in_its_place(part: str) -> None:
    sealed = seal(KEY, PLACE, b"secret")
    with pytest.raises(DecryptionFailed):
        opened(KEY, replace(PLACE, **{part: "other"}), sealed)


def test_places_whose_parts_run_into_each_other_are_different() -> None:
    sealed = seal(KEY, Place("acme", "a", "b,1:c", "d"), b"secret")
    with pytest.raises(DecryptionFailed):
        opened(KEY, Place("acme", "a", "b", "c,1:d"), sealed)


def test_the_key_of_another_tenant_opens_nothing_even_where_it_is_the_same_key() -> None:
    sealed = seal(KEY, PLACE, b"secret")
    with pytest.raises(DecryptionFailed):
        opened(replace(KEY, tenant="evil"), PLACE, sealed)


def test_a_changed_bit_anywhere_is_refused() -> None:
    sealed = seal(KEY, PLACE, b"secret")
    for number in range(len(sealed)):
        changed = bytearray(sealed)
        changed[number] ^= 1
        if not bytes(changed).startswith(MAGIC):
            continue  # then it is not sealed at all
        with pytest.raises(DecryptionFailed):
            read(bytes(changed))


@pytest.mark.parametrize("length", range(4, 63, 7))
def test_a_value_that_was_cut_is_refused(length: int) -> None:
    with pytest.raises(DecryptionFailed):
        read(seal(KEY, PLACE, b"secret")[:length])


def test_the_same_value_is_never_sealed_the_same_way() -> None:
    assert len({seal(KEY, PLACE, b"secret") for _ in range(100)}) == 100


@pytest.mark.parametrize("data", [b"", b"text", MAGIC, MAGIC + b"\x01" + bytes(60), seal(KEY, PLACE, b"x")], ids=range(5))
def test_without_a_key_a_value_is_kept_and_read_as_it_is(data: bytes) -> None:
    kept = seal(None, PLACE, data)
    assert key_id_of(kept) is None
    assert plain(kept) == data


def test_a_json_value_is_sealed_into_json_and_one_that_is_not_sealed_is_left() -> None:
    value = {"role": "user", "content": "ünï " + secrets.token_hex(8)}
    sealed = seal_json(KEY, PLACE, value)
    assert value["content"] not in str(sealed)
    data = sealed_in_json(sealed)
    assert data is not None
    assert json.loads(opened(KEY, PLACE, data)) == value
    assert sealed_in_json(value) is None
    assert seal_json(None, PLACE, value) == value


@pytest.mark.parametrize("value", [{"sealed": "???"}, {"sealed": 7}, {"sealed": "cGxhaW4="}, {"sealed": ""}])
def test_what_only_pretends_to_be_sealed_is_refused(value: object) -> None:
    with pytest.raises(DecryptionFailed):
        sealed_in_json(value)


def test_a_data_key_does_not_show_its_secret() -> None:
    assert str(KEY.secret) not in repr(KEY)
