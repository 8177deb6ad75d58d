"""A pipeline in Python: a target of one's own that needs no model, to try a gate with."""

from evals.base import Example
from evals.pipelines import Pipeline
from evals.suites import suite_of


async def ask(example: Example) -> str:
    """What was said, said again."""
    return str(example.input["text"])


PIPELINE = Pipeline(
    suite=suite_of(
        {
            "name": "echo",
            "dataset": "echo",
            "metrics": ["exact_match"],
            "thresholds": [{"metric": "exact_match", "min": 1}],
        }
    ),
    examples=[Example("one", {"text": "Hello"}, "Hello"), Example("two", {"text": "Good bye"}, "Good bye")],
    ask=ask,
)
