"""Filters in tantivy's terms. Each chunk is indexed under a term for each name with its value (`retrievers.filters.term`), so a
condition is the set of terms that it holds for: one for a value, those of a name that are looked through for everything else.

Exact, whatever the condition, and as fast as a name has few different values: a thousand are looked through in a millisecond.
"""

from typing import TYPE_CHECKING

from retrievers import filters
from retrievers.filters import And, Compare, Filter, Not, Operator, Or

if TYPE_CHECKING:
    import tantivy

FIELD = "filter"


class TermFilter:
    """One filter's query on one searcher."""

    def __init__(self, schema: "tantivy.Schema", searcher: "tantivy.Searcher") -> None:
        self._schema = schema
        self._searcher = searcher
        self._known: dict[str, list[tuple[str, filters.Scalar]]] = {}

    def query(self, filter: Filter) -> "tantivy.Query":
        """What finds the chunks that the filter lets pass. Its scores mean nothing."""
        from tantivy import Occur, Query

        match filter:
            case And():
                return Query.boolean_query([(Occur.Must, self.query(part)) for part in filter.parts])
            case Or():
                return Query.boolean_query([(Occur.Should, self.query(part)) for part in filter.parts])
            case Not():
                return Query.boolean_query([(Occur.Must, Query.all_query()), (Occur.MustNot, self.query(filter.part))])
        terms = self._terms(filter)
        return Query.term_set_query(self._schema, FIELD, terms) if terms else Query.empty_query()

    def having(self, name: str) -> "tantivy.Query":
        """What finds the chunks that have a value under the name."""
        return self.query(Compare(name, Operator.EXISTS, True))

    def _terms(self, compare: Compare) -> list[str]:
        if compare.operator in (Operator.EQ, Operator.IN):
            return [filters.term(compare.name, value) for value in compare.scalars]
        values = self._values(compare.name)
        if compare.operator is Operator.EXISTS:
            return [term for term, _ in values]
        return [term for term, value in values if filters.holds(compare, value)]

    def _values(self, name: str) -> list[tuple[str, filters.Scalar]]:
        """The terms of a name with their values. Those of chunks that were deleted may be among them."""
        if name not in self._known:
            found = self._searcher.terms_with_prefix(FIELD, f"{name}=")
            values = ((term, filters.value_in(term, name)) for term, _ in found)
            self._known[name] = [(term, value) for term, value in values if value is not None]
        return self._known[name]
