"""Chunks with attributes of every kind, and filters about them, for holding stores and indexes against the reference."""

import random
from typing import Any

from hypothesis import strategies as st

from retrievers.base import Chunk

NAMES = ("kind", "year", "a.b", "x", "x=", "$or", "and", "tenant", "attr.kind", "größe", 'q"\\', "100%s", "{}", "document ")
TEXTS = (
    "",
    "a",
    "A",
    "ab",
    "a b",
    "b",
    "Ω",
    "é",
    "e\u0301",
    "😀",
    "\uffff",
    'q"',
    "b\\n",
    "b\n",
    "100%",
    "%s",
    "a_b",
    "1",
    "true",
    "O'",
    "x=",
)
NUMBERS = (
    0,
    1,
    1.0,
    -1,
    -0.0,
    2.5,
    0.1,
    3,
    2**53,
    2**53 + 1,
    float(2**53),
    2**62,
    float(2**62),
    2**63 - 1,
    -(2**63 - 1),
    1e300,
    -1e300,
    5e-324,
)
VALUES = (*TEXTS, *NUMBERS, True, False)
DOCUMENTS = ("a.md", "b.md", "ä b.md", "100%.md")


def chunks(count: int = 60) -> list[Chunk]:
    """The same ones each time: a value of each kind under each name, some names missing, some chunks without any."""
    chance = random.Random(4)
    made = []
    for number in range(count):
        held = chance.sample(NAMES, chance.randint(0, len(NAMES)))
        place = chance.randrange(len(DOCUMENTS))
        made.append(
            Chunk(
                id=f"chk_{number:03}",
                document_id=f"doc_{place}",
                document=DOCUMENTS[place],
                revision=1,
                text=f"word {number}",
                start=0,
                end=6,
                page=chance.choice((None, 1, 2, 3)),
                attributes={name: chance.choice(VALUES) for name in held},
            )
        )
    return made


_names = st.sampled_from((*NAMES, "document", "document_id", "page", "unknown"))
_texts = st.sampled_from((*TEXTS, *DOCUMENTS, "doc_1", ".md"))
_numbers = (
    st.sampled_from((*NUMBERS, 2, 1.5, -2.5))
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
_values = _texts | _numbers | st.booleans()
_operations = st.one_of(
    st.fixed_dictionaries({}, optional={"eq": _values, "ne": _values, "in": st.lists(_values, max_size=4)}),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("lt", "lte", "gt", "gte"), _texts | _numbers)),
    st.fixed_dictionaries({}, optional={"exists": st.booleans(), "contains": _texts.filter(bool)}),
).filter(bool)
_entries = st.dictionaries(_names, _values | _operations, min_size=1, max_size=2)

#: Filters as callers write them.
FILTERS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    _entries,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"and": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"or": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=4,
)
