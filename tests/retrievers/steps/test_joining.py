from retrievers.steps.joining import join
from tests.retrievers.steps.making import names, passage


def test_without_others_it_is_the_search_itself():
    own = [passage("a", 0.9), passage("b", 0.8)]
    assert join(own, [], []) == own


def test_what_other_wordings_find_as_well_comes_first():
    own = [passage("a", 0.9), passage("b", 0.88), passage("c", 0.3)]
    joined = join(own, [[passage("b", 0.7), passage("d", 0.6)], [passage("b", 0.9)]], [])
    assert names(joined)[0] == "b"
    assert set(names(joined)) == {"a", "b", "c", "d"}


def test_another_wording_alone_does_not_outweigh_the_query():
    own = [passage("a", 0.9), passage("b", 0.2)]
    assert names(join(own, [[passage("z", 0.9), passage("b", 0.1)]], []))[0] == "a"


def test_each_question_brings_in_its_best():
    own = [passage("a", 0.9), passage("b", 0.8), passage("c", 0.7)]
    joined = join(own, [], [[passage("x", 0.4)], [passage("y", 0.1)]])
    assert set(names(joined)[:3]) == {"a", "x", "y"}
    assert [one.score for one in joined] == sorted((one.score for one in joined), reverse=True)
    assert len(joined) == len({one.chunk.id for one in joined})
