"""The settings of evaluations."""

from pydantic import Field

from core.sections import Section


class EvaluationSettings(Section):
    """Evaluations: datasets, and runs of suites over them in the background."""

    examples: int = Field(10_000, ge=1, description="examples of one dataset")
    example_bytes: int = Field(256 * 2**10, gt=0, description="one example, in bytes")
    concurrency: int = Field(
        4, ge=1, le=64, description="examples of one run that are asked at once, where its suite says nothing"
    )
    most_concurrency: int = Field(16, ge=1, le=256, description="examples of one run that are asked at once, at most")
    at_once: int = Field(1, ge=1, description="runs that one worker works on at once")
