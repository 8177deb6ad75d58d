"""A few requests drawn from the OpenAPI document, the same ones each time. `make prove` sends 5,000, others each time, and
prints the seed that draws them again."""

from collections.abc import Iterator

import pytest

from infra.bench import fuzzing
from infra.running import Running

SEED = 4711


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with fuzzing.target(tmp_path_factory.mktemp("drawn")) as platform:
        yield platform


@pytest.mark.parametrize(("group", "cases"), [("data", 40), ("capabilities", 12), ("langserve", 8)])
def test_drawn_requests_get_no_5xx_and_nobody_comes_in_without_a_credential(target: Running, group: str, cases: int) -> None:
    figures = fuzzing.fuzz(target, cases=cases, group=group, seed=SEED)
    assert figures["cases"] == cases
    assert figures["answers_4xx"] >= cases / 2, "without a credential they are refused"
