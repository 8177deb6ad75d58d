"""Datasets and suites of evaluations, and the metrics that there are."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, model_validator
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from core import audit, denials
from core.context import current
from core.errors import InvalidRequest
from core.policies.retention import refuse_keeping
from core.principals import Principal, Scope
from core.tables import EvalDataset, EvalSuite
from evals.dataset_files import DatasetLimits, ExampleRow, as_jsonl, collected, read
from evals.datasets import SESSIONS, Datasets
from evals.metrics import METRICS
from evals.ownership import theirs
from evals.scoring import load_metrics
from evals.session_datasets import Wanted, taken
from evals.stored_suites import StoredSuites
from evals.suites import NAME_PATTERN, parse
from server.auth import requires
from server.pagination import Paging, page, page_of, page_of_table
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/evals", tags=["Evaluations"])

Reader = Annotated[Principal, requires(Scope.EVALS_READ)]
Runner = Annotated[Principal, requires(Scope.EVALS_RUN)]
DatasetID = Annotated[str, Path(description="the dataset's id", examples=["ds_9fKx2LmQ"])]
SuiteName = Annotated[str, Path(description="the suite's name", examples=["support-answers"])]


class NewDataset(BaseModel):
    """A dataset to keep: the text of a file, or its examples."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "capitals", "examples": [{"input": {"text": "What is the capital of France?"}, "expected": "Paris"}]}
            ]
        },
    )

    name: str = Field(pattern=NAME_PATTERN)
    format: Literal["jsonl", "csv"] | None = Field(None, description="of `content`")
    content: str | None = Field(None, description="a JSON object a line, or CSV with a header")
    examples: list[ExampleRow] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _one_source(self) -> "NewDataset":
        if (self.content is None) == (self.examples is None) or (self.content is None) != (self.format is None):
            raise ValueError("give either examples, or content with its format")
        return self


class FromSessions(BaseModel):
    """A dataset to make of kept conversations: an example for each answer, the personal data taken out."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "from-production", "limit": 100}]})

    name: str = Field(pattern=NAME_PATTERN)
    capability: Literal["chat", "completion", "rag"] = "chat"
    since: AwareDatetime | None = Field(None, description="conversations that were added to from then on")
    until: AwareDatetime | None = Field(None, description="and before then")
    limit: int = Field(200, ge=1, le=10_000, description="examples at most, of the newest conversations")
    everybodys: bool = Field(
        False, description="of the whole tenant, not your own alone: with `evals:manage` and `privacy:manage`"
    )
    expected: bool = Field(True, description="the answer that was given is what others are held against")


class DatasetInfo(BaseModel):
    """One version of a dataset."""

    id: str
    name: str
    version: int
    digest: str = Field(description="SHA-256 of its examples")
    source: str = Field(description="`upload`, or `sessions`: kept conversations")
    examples: int
    created_by: str
    created_at: datetime

    @classmethod
    def of(cls, row: EvalDataset) -> "DatasetInfo":
        return cls(
            id=row.id,
            name=row.name,
            version=row.number,
            digest=row.digest,
            source=row.source,
            examples=row.examples,
            created_by=row.owner,
            created_at=row.created_at,
        )


class DatasetPage(BaseModel):
    """Some of the datasets."""

    results: list[DatasetInfo]
    next_cursor: str | None


class ExampleInfo(BaseModel):
    """One example."""

    number: int
    id: str
    input: dict[str, JsonValue]
    expected: JsonValue
    context: list[str]
    labels: dict[str, JsonValue]


class ExamplePage(BaseModel):
    """Some of a dataset's examples."""

    results: list[ExampleInfo]
    next_cursor: str | None


class NewSuite(BaseModel):
    """A suite to keep, under the name that it has in it."""

    model_config = ConfigDict(extra="forbid")

    definition: str = Field(
        min_length=1,
        description="the suite, in YAML or JSON",
        examples=[
            "name: capitals\ndataset: capitals\nmetrics: [exact_match]\nthresholds:\n  - {metric: exact_match, min: 0.9}\n"
        ],
    )


class SuiteInfo(BaseModel):
    """A suite that is kept."""

    id: str
    name: str
    created_by: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: EvalSuite) -> "SuiteInfo":
        return cls(id=row.id, name=row.name, created_by=row.owner, created_at=row.created_at, updated_at=row.updated_at)


class WholeSuite(SuiteInfo):
    """A suite with its text."""

    definition: str


class SuitePage(BaseModel):
    """Some of the suites."""

    results: list[SuiteInfo]
    next_cursor: str | None


class MetricInfo(BaseModel):
    """A metric that suites can name."""

    name: str


class MetricPage(BaseModel):
    """The metrics."""

    results: list[MetricInfo]
    next_cursor: str | None


@router.get("/metrics", response_model=MetricPage)
async def list_metrics(principal: Reader, paging: Paging) -> dict[str, Any]:
    """List the metrics that suites can name."""
    return page_of([MetricInfo(name=name) for name in sorted(METRICS)], paging, lambda one: one.name)


@router.post("/datasets", response_model=DatasetInfo, status_code=201)
async def add_dataset(body: NewDataset, state: CurrentState, principal: Runner) -> DatasetInfo:
    """Keep a dataset. The same content under the same name is the version that is there; other content is a new version."""
    if body.content is not None and body.format is not None:
        examples = read(body.content, body.format, limits_of(state))
    else:
        rows = [one.model_dump() for one in body.examples or ()]
        examples = collected(enumerate(rows, start=1), limits_of(state))
    return DatasetInfo.of(await Datasets(state.database).add(principal, body.name, examples))


@router.post("/datasets/from-sessions", response_model=DatasetInfo, status_code=201)
async def dataset_from_sessions(body: FromSessions, state: CurrentState, principal: Runner) -> DatasetInfo:
    """Make a dataset of kept conversations. Personal data is replaced by its type before anything of it is kept; what is
    made of somebody's conversations goes with them."""
    refuse_keeping(state.models.policies, current(), "its sessions make no dataset")
    if body.everybodys:
        for needed in (Scope.EVALS_MANAGE, Scope.PRIVACY_MANAGE):
            if not principal.may(needed):
                raise denials.lacks(principal, needed)
    wanted = Wanted(
        capability=body.capability,
        since=body.since,
        until=body.until,
        most=min(body.limit, limits_of(state).examples),
        everybodys=body.everybodys,
        expected=body.expected,
    )
    found = await taken(state.database, state.analyser, principal, wanted)
    if not found.examples:
        raise InvalidRequest("No conversation that is kept has an answer to take.", code="dataset_empty")
    row = await Datasets(state.database).add(
        principal,
        body.name,
        found.examples,
        source=SESSIONS,
        subjects=found.subjects,
        from_collections=found.from_collections,
    )
    return DatasetInfo.of(row)


@router.get("/datasets", response_model=DatasetPage)
async def list_datasets(state: CurrentState, principal: Reader, paging: Paging) -> dict[str, Any]:
    """List the versions of your datasets; of all, with `evals:manage`."""
    return await page_of_table(
        state.database, principal.tenant, EvalDataset, paging, DatasetInfo.of, only=[theirs(EvalDataset, principal)]
    )


@router.get("/datasets/{dataset_id}", response_model=DatasetInfo)
async def show_dataset(dataset_id: DatasetID, state: CurrentState, principal: Reader) -> DatasetInfo:
    """Show a version of a dataset."""
    return DatasetInfo.of(await Datasets(state.database).get(principal, dataset_id))


@router.get("/datasets/{dataset_id}/examples", response_model=ExamplePage)
async def list_examples(dataset_id: DatasetID, state: CurrentState, principal: Reader, paging: Paging) -> dict[str, Any]:
    """List the examples of a dataset, in its order."""
    datasets = Datasets(state.database)
    row = await datasets.get(principal, dataset_id)
    after = int(paging.after) if paging.after and paging.after.isdecimal() else 0
    some = await datasets.some(row, after=after, limit=paging.limit + 1)
    shown = [
        ExampleInfo(
            number=number,
            id=one.id,
            input=dict(one.input),
            expected=one.expected,
            context=list(one.context),
            labels=dict(one.labels),
        )
        for number, one, _ in some[: paging.limit]
    ]
    return page(shown, str(shown[-1].number) if len(some) > paging.limit else None)


@router.get(
    "/datasets/{dataset_id}/export",
    response_class=Response,
    responses={200: {"content": {"application/jsonl": {}}, "description": "A JSON object a line, as an upload takes it."}},
)
async def export_dataset(dataset_id: DatasetID, state: CurrentState, principal: Reader) -> Response:
    """Fetch a dataset as JSON lines."""
    datasets = Datasets(state.database)
    row = await datasets.get(principal, dataset_id)
    audit.note(audit.Action.EVAL_DATASET_EXPORTED, on=("eval_dataset", row.id))
    headers = {"x-content-type-options": "nosniff", "content-disposition": f'attachment; filename="{row.name}.jsonl"'}
    return StreamingResponse(_lines(datasets, row), media_type="application/jsonl", headers=headers)


@router.delete("/datasets/{dataset_id}", status_code=204)
async def delete_dataset(dataset_id: DatasetID, state: CurrentState, principal: Runner) -> None:
    """Delete a version of a dataset. What runs have made of it stays."""
    await Datasets(state.database).delete(principal, dataset_id)


@router.post("/suites", response_model=SuiteInfo, status_code=201)
async def put_suite(body: NewSuite, state: CurrentState, principal: Runner) -> SuiteInfo:
    """Keep a suite, in the place of one that has its name. Runs that were made keep theirs."""
    suite = parse(body.definition)
    await run_in_threadpool(load_metrics, suite)
    return SuiteInfo.of(await StoredSuites(state.database).put(principal, suite, body.definition))


@router.get("/suites", response_model=SuitePage)
async def list_suites(state: CurrentState, principal: Reader, paging: Paging) -> dict[str, Any]:
    """List your suites; all, with `evals:manage`."""
    return await page_of_table(
        state.database, principal.tenant, EvalSuite, paging, SuiteInfo.of, only=[theirs(EvalSuite, principal)]
    )


@router.get("/suites/{suite_name}", response_model=WholeSuite)
async def show_suite(suite_name: SuiteName, state: CurrentState, principal: Reader) -> WholeSuite:
    """Show a suite with its text."""
    row, text = await StoredSuites(state.database).get(principal, suite_name)
    return WholeSuite(**SuiteInfo.of(row).model_dump(), definition=text)


@router.delete("/suites/{suite_name}", status_code=204)
async def delete_suite(suite_name: SuiteName, state: CurrentState, principal: Runner) -> None:
    """Delete a suite. Its runs stay."""
    await StoredSuites(state.database).delete(principal, suite_name)


def limits_of(state: State) -> DatasetLimits:
    """How much a dataset may be here."""
    settings = state.settings.evaluations
    return DatasetLimits(settings.examples, settings.example_bytes)


async def _lines(datasets: Datasets, row: EvalDataset) -> AsyncIterator[bytes]:
    async for some in datasets.examples(row):
        yield b"".join(as_jsonl(example) for _, example, _ in some)
