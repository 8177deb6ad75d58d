"""The error tree: stable codes, fitting statuses, the shape of the contract."""

from core import errors
from core.errors import NotFound, PlatformError

TREE = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, PlatformError)]


def test_every_class_has_a_status_and_a_code_of_its_own() -> None:
    codes = [each.code for each in TREE if each is not PlatformError]
    assert len(codes) == len(set(codes))
    assert all(400 <= each.status < 600 for each in TREE)


def test_the_tree_is_drawn_at_the_top_of_the_module() -> None:
    drawing = errors.__doc__ or ""
    missing = [each.__name__ for each in TREE if each.__name__ not in drawing]
    assert missing == []


def test_the_body_has_the_shape_of_the_contract_and_hides_the_context() -> None:
    error = NotFound("No such job.", code="job_not_found", param="id", context={"prompt": "canary"})
    assert error.body("req_1") == {
        "error": {"code": "job_not_found", "message": "No such job.", "request_id": "req_1", "param": "id"}
    }
