"""Every sealed column there is: a value that was moved to another row, column, table or tenant is refused."""

from typing import Any

import pytest

from core.database import Database
from core.encryption.envelope import Place, in_json, sealed_in_json
from core.encryption.sealed_columns import SEALED_COLUMNS, SealedColumn
from core.errors import DecryptionFailed

EVERY = pytest.mark.parametrize("column", SEALED_COLUMNS, ids=lambda column: column.name)
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def key(column: SealedColumn, number: int) -> list[Any]:
    return [f"row{number}" if part != "number" else number for part in column.key]


async def sealed(database: Database, column: SealedColumn, place: Place) -> Any:
    value: Any = {"secret": "text"} if column.json else b"secret"
    seal = database.keyring.seal_json if column.json else database.keyring.seal
    return await seal(place, value)


async def opened(database: Database, column: SealedColumn, place: Place, value: Any) -> Any:
    return await (database.keyring.open_json(place, value) if column.json else database.keyring.open(place, value))


def elsewhere(column: SealedColumn) -> dict[str, Place]:
    """Every other place that a value of the column's first row could be put into."""
    other_rows = [column.place("acme", key(column, 2))]
    if len(column.key) > 1:  # the same numbers, of which one is another's
        mixed = [key(column, 1)[0], *key(column, 2)[1:]]
        other_rows += [column.place("acme", mixed), column.place("acme", [*key(column, 2)[:1], *key(column, 1)[1:]])]
    found = {f"another row {number}": place for number, place in enumerate(other_rows)}
    found["another tenant"] = column.place("globex", key(column, 1))
    for other in SEALED_COLUMNS:
        if other is not column:
            found[f"{other.name}"] = Place("acme", other.table.name, other.column, column.place("acme", key(column, 1)).row)
    return found


@ON_SQLITE
@EVERY
async def test_a_value_opens_in_its_own_place_alone(database: Database, column: SealedColumn) -> None:
    place = column.place("acme", key(column, 1))
    value = await sealed(database, column, place)
    assert await opened(database, column, place, value) == ({"secret": "text"} if column.json else b"secret")
    places = elsewhere(column)
    refused = []
    for where, other in places.items():
        try:
            await opened(database, column, other, value)
        except DecryptionFailed:
            refused.append(where)
    assert refused == list(places)


@ON_SQLITE
@EVERY
async def test_two_values_that_were_swapped_are_both_refused(database: Database, column: SealedColumn) -> None:
    places = [column.place("acme", key(column, number)) for number in (1, 2)]
    values = [await sealed(database, column, place) for place in places]
    for place, value in zip(places, reversed(values), strict=True):
        with pytest.raises(DecryptionFailed):
            await opened(database, column, place, value)


@ON_SQLITE
@EVERY
async def test_every_changed_bit_is_noticed(database: Database, column: SealedColumn) -> None:
    place = column.place("acme", key(column, 1))
    value = await sealed(database, column, place)
    data = sealed_in_json(value) if column.json else value
    assert data is not None
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        if bit < 32:  # what no longer says that it is sealed is taken as it is, in a column that is not JSON
            continue
        with pytest.raises(DecryptionFailed):
            await opened(database, column, place, in_json(bytes(changed)) if column.json else bytes(changed))
