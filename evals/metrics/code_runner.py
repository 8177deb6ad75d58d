"""What runs in a locked process: a model's code and its tests. Read as a text and run there: nothing of ours is imported."""

import sys
from typing import Any

_MOST_TESTS = 1000


def main(given: dict[str, Any]) -> dict[str, Any]:
    """Run `given["code"]`, then `given["tests"]` in the same module; what came of each test, and of the code itself where it
    could not even be run. Tests are functions `test_…`, methods of `unittest.TestCase`, `check(candidate)` where
    `given["entry_point"]` names one, and whatever the text of the tests asserts by itself."""
    sys.argv = ["solution.py"]
    space: dict[str, Any] = {"__name__": "solution"}
    results: list[list[Any]] = []
    if not _tried(results, "code", lambda: exec(compile(given["code"], "solution.py", "exec"), space)):  # noqa: S102
        return {"results": results}
    results.clear()
    before = dict(space)
    if not _tried(results, "tests", lambda: exec(compile(given["tests"], "tests.py", "exec"), space)):  # noqa: S102
        return {"results": results}
    found = [(name, value) for name, value in space.items() if before.get(name) is not value]
    cases = [case for each in found for case in _cases(*each, given.get("entry_point"), space)][:_MOST_TESTS]
    if cases:
        results.clear()  # that the tests could be read is no test
    for name, case in cases:
        _tried(results, name, case)
    return {"results": results}


def _cases(name: str, value: Any, entry_point: str | None, space: dict[str, Any]) -> list[tuple[str, Any]]:
    if name.startswith("test") and callable(value) and not isinstance(value, type):
        return [(name, value)]
    if name == "check" and callable(value) and entry_point:
        return [(name, lambda: value(space[entry_point]))]
    if isinstance(value, type) and any(base.__name__ == "TestCase" for base in value.__mro__):
        return [(f"{name}.{method}", value(method).debug) for method in dir(value) if method.startswith("test")]
    return []


def _tried(results: list[list[Any]], name: str, work: Any) -> bool:
    try:
        work()
    except BaseException as error:  # noqa: BLE001 - whatever the code does is a result
        results.append([name, False, type(error).__name__, str(error)[:200]])
        return False
    results.append([name, True, "", ""])
    return True
