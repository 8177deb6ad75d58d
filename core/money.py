"""Dollars in the database: exact on PostgreSQL and on SQLite, which has no decimals of its own."""

from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Dialect, Numeric
from sqlalchemy.types import TypeDecorator, TypeEngine

#: The smallest amount that is kept: a token at a millionth of a dollar a million of them.
QUANTUM = Decimal("1e-12")
_SCALE = 12


class Money(TypeDecorator[Decimal]):
    """`NUMERIC(30, 12)` on PostgreSQL; on SQLite an integer of 10⁻¹² dollars, whose sums are exact as well, to nine million."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind: TypeEngine[Any] = BigInteger() if dialect.name == "sqlite" else Numeric(30, _SCALE)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return int(value.scaleb(_SCALE).to_integral_value()) if dialect.name == "sqlite" else value.quantize(QUANTUM)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        if value is None:
            return None
        return Decimal(value).scaleb(-_SCALE) if dialect.name == "sqlite" else Decimal(value)
