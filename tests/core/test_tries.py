import pytest

from core.context import RequestContext, current, serving, sparing
from core.principals import SYSTEM
from core.tries import Tries

MOST = 5


def test_calls_of_all_steps_count_together() -> None:
    tries = Tries()
    for _ in range(MOST):
        assert tries.may_go_on(MOST)
        tries.note("a", ill=True)
    assert not tries.may_go_on(MOST)


@pytest.mark.parametrize(("most", "spared", "left"), [(5, 2, 3), (4, 2, 2), (2, 1, 1), (1, 0, 1)])
def test_steps_that_can_be_done_without_leave_half_of_the_calls_to_the_others(most: int, spared: int, left: int) -> None:
    tries = Tries()
    with tries.sparing():
        for failed in range(most):
            assert tries.may_go_on(most) == (failed < spared)
            tries.note("a", ill=True)  # a step's first call is made in any case
    for failed in range(most):
        assert tries.may_go_on(most) == (failed < left)
        tries.note("b", ill=True)


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
