"""What a search may be narrowed by: one small language, its reference meaning, and what a store needs to say it in its words.

As callers write it, as JSON: `{"kind": "manual", "year": {"gte": 2020}}` holds where all of its entries do;
`{"or": […]}`, `{"and": […]}` and `{"not": …}` stand in an entry's place. `document` (the name), `document_id` and `page` are
there for every chunk; every other name is one of the attributes that a document was given.
"""

from retrievers.filters.expressions import And, Compare, Filter, Not, Operator, Or, Scalar, names, required_names
from retrievers.filters.marks import NO_MARK, by_marks, marks, marks_asked, weakened
from retrievers.filters.meaning import RESERVED, holds, matches, value_of, values_of
from retrievers.filters.narrowing import Narrowed, narrow
from retrievers.filters.parsing import parse
from retrievers.filters.terms import term, terms, value_in

__all__ = [
    "NO_MARK",
    "RESERVED",
    "And",
    "Compare",
    "Filter",
    "Narrowed",
    "Not",
    "Operator",
    "Or",
    "Scalar",
    "by_marks",
    "holds",
    "marks",
    "marks_asked",
    "matches",
    "names",
    "narrow",
    "parse",
    "required_names",
    "term",
    "terms",
    "value_in",
    "value_of",
    "values_of",
    "weakened",
]
