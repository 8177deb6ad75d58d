from hypothesis import given
from hypothesis import strategies as st

from retrievers.fusion import contenders, fuse

COSINES = st.lists(st.floats(-1, 1), min_size=1, max_size=40)
BM25 = st.dictionaries(st.integers(0, 60).map("c{:02}".format), st.floats(0.01, 30), max_size=40)


def test_a_passage_that_both_rankings_know_wins():
    ranked = fuse({"a": 0.6, "b": 0.6, "c": 0.1}, {"b": 9.0, "c": 3.0})
    assert [chunk_id for chunk_id, _ in ranked] == ["b", "a", "c"]
    assert 0 <= ranked[-1][1] <= ranked[0][1] <= 1


def test_how_far_a_passage_is_ahead_counts():
    close = dict(fuse({"a": 0.51, "b": 0.50}, {"b": 10.0, "a": 9.0}))
    far = dict(fuse({"a": 0.90, "b": 0.10}, {"b": 10.0, "a": 9.0}))
    assert close["b"] > close["a"]
    assert far["a"] > far["b"]


def test_one_ranking_alone_is_kept_as_it_is():
    assert [chunk_id for chunk_id, _ in fuse({"a": 0.1, "b": 0.3}, {})] == ["b", "a"]
    assert [chunk_id for chunk_id, _ in fuse({}, {"a": 1.0, "b": 2.0})] == ["b", "a"]
    assert fuse({}, {}) == []


def test_equal_scores_are_ordered_by_id():
    assert [chunk_id for chunk_id, _ in fuse({"b": 0.5, "a": 0.5, "c": 0.5}, {})] == ["a", "b", "c"]


@given(cosines=COSINES, lexical=BM25, nearest=st.integers(1, 40), needed=st.integers(1, 15))
def test_the_first_are_the_same_where_only_contenders_are_compared(
    cosines: list[float], lexical: dict[str, float], nearest: int, needed: int
):
    every = {f"c{number:02}": cosine for number, cosine in enumerate(cosines)}
    found = dict(sorted(every.items(), key=lambda one: (-one[1], one[0]))[:nearest])
    asked = contenders(found, lexical, needed)
    assert not set(asked) & set(found)
    some = fuse(found | {one: every[one] for one in asked if one in every}, lexical)[:needed]
    all_compared = fuse(found | {one: every[one] for one in lexical if one in every}, lexical)[:needed]
    known = {one for one, _ in all_compared if one in every}
    assert [one for one, _ in some if one in known] == [one for one, _ in all_compared if one in known]


def test_what_cannot_be_among_the_first_is_not_compared():
    found = {f"near{number}": 0.9 - number / 100 for number in range(10)}
    lexical = {"near0": 10.0, "strong": 9.9, "weak": 0.1}
    assert contenders(found, lexical, 2) == ["strong"]
    assert contenders(found, lexical, 11) == ["strong", "weak"]
