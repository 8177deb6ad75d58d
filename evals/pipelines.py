"""Pipelines of one's own: a suite in a YAML file, or a Python object with a target and metrics that no file can name."""

import importlib
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.contained import contained
from core.errors import InvalidRequest, PlatformError
from evals.base import Example, Metric, Outcome
from evals.dataset_files import DatasetLimits, Format, read
from evals.suites import Suite, check_labels, parse

#: What a pipeline may ask in place of a capability: the text that comes of an example, or the whole outcome.
Ask = Callable[[Example], Awaitable[str | Outcome]]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """An evaluation, ready to be run in this process. `ask` takes the place of the suite's target, `metrics` stand beside the
    suite's by their labels, and thresholds may name them; `examples` are None where the suite names a dataset of a running
    platform.

    Raises:
        InvalidRequest: `invalid_suite`: as `evals.suites.check_labels`.
    """

    suite: Suite
    examples: Sequence[Example] | None = None
    ask: Ask | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_labels(self.suite, self.metrics)


def load(named: str, limits: DatasetLimits, *, dataset: Path | None = None) -> Pipeline:
    """The pipeline that a path of a YAML file, or `package.module:name`, names. A dataset's path counts from the suite's.

    Raises:
        InvalidRequest: `invalid_suite`, with what is wrong and where; `invalid_example` and the like of its dataset.
        OSError: a file cannot be read.
    """
    path = Path(named)
    if not path.is_file() and ":" in named:
        pipeline = _imported(named)
        return pipeline if dataset is None else Pipeline(pipeline.suite, _read(dataset, limits), pipeline.ask, pipeline.metrics)
    suite = parse(path.read_text(encoding="utf-8"))
    found = dataset or path.parent / suite.dataset
    return Pipeline(suite, _read(found, limits) if found.is_file() else None)


def _imported(named: str) -> Pipeline:
    module, _, name = named.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        with contained():
            made = getattr(importlib.import_module(module), name)
            made = made() if callable(made) and not isinstance(made, Pipeline) else made
    except PlatformError:
        raise
    except Exception as error:  # the boundary of somebody's own code: whatever it raises, there is no pipeline
        raise InvalidRequest(f"{named} cannot be made: {type(error).__name__}: {error}.", code="invalid_suite") from error
    if isinstance(made, Suite):
        return Pipeline(made)
    if not isinstance(made, Pipeline):
        raise InvalidRequest(f"{named} is neither a Pipeline nor a Suite.", code="invalid_suite")
    return made


def _read(path: Path, limits: DatasetLimits) -> list[Example]:
    form: Format = "csv" if path.suffix.lower() == ".csv" else "jsonl"
    return read(path.read_text(encoding="utf-8"), form, limits)
