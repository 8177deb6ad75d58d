"""Vectors that are remembered by a digest of their text."""

import numpy as np

from providers.remembered_vectors import RememberedVectors


def vector(value: float) -> np.ndarray:
    return np.full(3, value, np.float32)


def test_a_text_has_its_own_vector_again_and_another_none() -> None:
    remembered = RememberedVectors()
    given = vector(1)
    remembered.remember("a", given)
    given[:] = 7
    found = remembered.recall(["b", "a", "\ud800"])
    assert found[0] is None
    assert found[2] is None
    assert np.array_equal(found[1], vector(1)), "a copy was kept"


def test_what_was_not_recalled_for_longest_is_forgotten_first() -> None:
    remembered = RememberedVectors(most=2)
    remembered.remember("a", vector(1))
    remembered.remember("b", vector(2))
    assert remembered.recall(["a"])[0] is not None
    remembered.remember("c", vector(3))
    assert [each is not None for each in remembered.recall(["a", "b", "c"])] == [True, False, True]


def test_no_text_is_kept() -> None:
    remembered = RememberedVectors()
    remembered.remember("a word of somebody", vector(1))
    assert b"a word of somebody" not in b"".join(remembered._vectors)
