import pytest

from core.context import RequestContext, current, serving, sparing
from core.principals import SYSTEM
from core.tries import Tries

MOST = 5


def test_calls_of_all_steps_count_together() -> None:
    tries = Tries()
    for _ in range(MOST):
        assert (tries.may_move_on(MOST), tries.may_repeat(MOST)) == (True, True)
        tries.note("a", ill=True)
    assert (tries.may_move_on(MOST), tries.may_repeat(MOST)) == (False, False)


@pytest.mark.parametrize(("most", "moves", "repeats"), [(5, 4, 2), (2, 1, 1), (1, 0, 0)])
def test_a_step_that_can_be_done_without_leaves_calls_to_those_after_it(most: int, moves: int, repeats: int) -> None:
    tries = Tries()
    with tries.sparing():
        for failed in range(most):
            assert (tries.may_move_on(most), tries.may_repeat(most)) == (failed < moves, failed < repeats)
            if failed < moves:
                tries.note("a", ill=True)
    assert tries.may_move_on(most)


def test_what_is_ill_is_remembered() -> None:
    tries = Tries()
    tries.note("a", ill=True)
    tries.note("b", ill=False)
    assert (tries.failed, tries.in_vain) == ({"a"}, 2)


def test_a_request_beside_counts_with_its_own() -> None:
    with sparing():
        assert current().tries is None
    with serving(RequestContext(request_id="r", principal=SYSTEM, tries=Tries())) as request:
        assert request.beside().tries is request.tries
