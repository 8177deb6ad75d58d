from retrievers.fusion import fuse


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
