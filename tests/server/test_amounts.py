"""Amounts as the pages tell them."""

from decimal import Decimal

import pytest

from server.pages.amounts import amount, dollars


@pytest.mark.parametrize(
    ("value", "told"), [("0", "$0"), ("1234.567", "$1,234.57"), ("0.0012", "$0.0012"), ("0.000000012345", "$0.000000013")]
)
def test_dollars_for_people(value: str, told: str) -> None:
    assert dollars(Decimal(value)) == told


@pytest.mark.parametrize(
    ("value", "told"), [(0, "0"), (9_999, "9,999"), (12_345, "12.3 k"), (4_500_000, "4.5 M"), (3 * 10**9, "3 G")]
)
def test_counts_for_people(value: int, told: str) -> None:
    assert amount(value) == told
