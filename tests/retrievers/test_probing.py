import random

import pytest

from retrievers.base import Chunk
from retrievers.fusion import DENSE_WEIGHT
from retrievers.probing import LEAST_PROBES, Probe, Ranks, finding, ranked, without

TEXT = (
    "The pump takes two hundred litres a minute. Its valves are made of brass and steel. "
    "Frost damages the housing of the pump, which the warranty does not cover at all."
)
BEHIND = Ranks(dense=1.0, lexical=0.2, hybrid=0.5)


def test_a_probe_asks_for_one_sentence_and_leaves_the_rest_of_the_chunk():
    chunk = Chunk("c", "d", "a.md", 1, TEXT, 100, 100 + len(TEXT))
    probe = Probe.of(chunk, random.Random(3))
    assert probe is not None
    assert probe.query in TEXT
    assert probe.query not in probe.rest
    assert sorted(f"{probe.query} {probe.rest}".split()) == sorted(TEXT.split())
    begin = 100 + TEXT.index(probe.query)
    assert probe.is_beside(begin + 3, begin + 500)
    assert not probe.is_beside(begin + len(probe.query), begin + 500)
    assert Probe.of(Chunk("c", "d", "a.md", 1, TEXT[:44], 0, 44), random.Random(3)) is None


def test_what_a_chunk_owes_to_the_sentence_itself_does_not_count():
    weights = {"pump": 1.0, "valves": 3.0}
    assert without("pump valves", "the pump", weights, str.split) == pytest.approx(0.25)
    assert without("unknown", "the pump", weights, str.split) == 0.0


def test_ranks_are_of_the_chunk_by_each_leg_and_by_both():
    ranks = ranked("a", {"a": 0.5, "b": 0.9}, {"a": 8.0, "b": 0.0, "c": 2.0})
    assert (ranks.dense, ranks.lexical) == (0.5, 1.0)
    assert ranked("z", {"b": 0.9}, {}) == Ranks(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("ranks", "weight"),
    [
        ([BEHIND] * LEAST_PROBES, 1.0),
        ([Ranks(0.2, 1.0, 0.5)] * LEAST_PROBES, 0.0),
        ([BEHIND] * (LEAST_PROBES - 1), DENSE_WEIGHT),
        ([Ranks(0.9, 0.8, 0.9)] * LEAST_PROBES, DENSE_WEIGHT),
        ([Ranks(1.0, 0.1, 0.5), Ranks(0.5, 0.1, 0.96)] * 40, DENSE_WEIGHT),
        ([], DENSE_WEIGHT),
    ],
    ids=["meaning is better", "words are better", "too few to tell", "both are as good", "it may be chance", "none"],
)
def test_a_leg_takes_over_where_it_is_ahead_of_both_by_more_than_chance(ranks: list[Ranks], weight: float):
    assert finding(ranks).dense_weight == weight
