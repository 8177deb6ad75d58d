"""Feedback on answers: a thumb, a score, a comment; given by who asked, or by a program that judges for them."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from starlette.responses import Response

from core.feedback import FeedbackBook, Judgement
from core.principals import Principal, Scope
from core.tables import Feedback
from server.auth import request_context, requires
from server.pagination import Paging, page
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/feedback", tags=["Experiments"])

Giver = Annotated[Principal, requires(Scope.FEEDBACK_WRITE, Scope.EXPERIMENTS_MANAGE)]
Reader = Annotated[Principal, requires(Scope.FEEDBACK_WRITE, Scope.EXPERIMENTS_READ, Scope.EXPERIMENTS_MANAGE)]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.\-]{0,63}$")]
RequestID = Annotated[str, Path(min_length=1, max_length=64, description="`request_id` of the answer")]
Share = Annotated[float, Field(ge=0, le=1)]
_THUMBS = {"up": 1.0, "down": 0.0}


class NewFeedback(BaseModel):
    """What somebody thinks of an answer. Sent again for the same request it replaces what they sent before."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"request_id": "req_7LmQ2xYz", "rating": "up", "comment": "Exactly the right page."}]},
    )

    request_id: str = Field(min_length=1, max_length=64, description="of the answer, as its body and headers tell it")
    rating: Literal["up", "down"] | None = None
    score: Share | None = Field(None, description="in place of a rating: from 0, useless, to 1")
    comment: str | None = Field(None, max_length=4000)
    labels: list[Word] = Field(default_factory=list, max_length=20, description="short words to sort by: wrong_source")
    scores: dict[Word, Share] = Field(
        default_factory=dict, max_length=20, description="judgements by name, as evaluators give them"
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.rating is not None and self.score is not None:
            raise ValueError("give a rating or a score, not both")
        if self.rating is None and self.score is None and not self.scores:
            raise ValueError("give a rating, a score, or scores by name")
        return self

    def judgement(self) -> Judgement:
        score = self.score if self.rating is None else _THUMBS[self.rating]
        return Judgement(self.request_id, score, self.comment, sorted(set(self.labels)), self.scores)


class FeedbackInfo(BaseModel):
    """One principal's feedback on one request."""

    id: str
    request_id: str
    principal: str
    rating: Literal["up", "down"] | None = Field(description="up where the score is above a half, down where it is below")
    score: float | None
    comment: str | None = Field(description="told to who gave it, and to who manages experiments")
    labels: list[str]
    scores: dict[str, float]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Feedback, comment: str | None) -> "FeedbackInfo":
        rating = None if row.score is None or row.score == 0.5 else "up" if row.score > 0.5 else "down"
        return cls.model_validate(row.model_dump(exclude={"tenant", "comment"}) | {"rating": rating, "comment": comment})


class FeedbackPage(BaseModel):
    """Some of the feedback, the newest first."""

    results: list[FeedbackInfo]
    next_cursor: str | None


@router.post("")
async def give_feedback(given: NewFeedback, request: Request, state: CurrentState, principal: Giver) -> FeedbackInfo:
    """Say what you think of an answer to a request of yours. Who manages experiments may judge others' requests as well."""
    row, comment = await _book(state).give(request_context(request), given.judgement())
    return FeedbackInfo.of(row, comment)


@router.get("", response_model=FeedbackPage)
async def list_feedback(
    state: CurrentState,
    principal: Reader,
    paging: Paging,
    request_id: Annotated[str | None, Query(max_length=64)] = None,
    label: Annotated[Word | None, Query()] = None,
) -> dict[str, Any]:
    """List feedback, the newest first: your own, or everybody's with `experiments:read`."""
    rows, position = await _book(state).page(principal, paging.limit, paging.after, request_id=request_id, label=label)
    return page([FeedbackInfo.of(row, comment) for row, comment in rows], position)


@router.delete("/{request_id}", status_code=204)
async def withdraw_feedback(request_id: RequestID, state: CurrentState, principal: Giver) -> Response:
    """Take back what you said of a request."""
    await _book(state).withdraw(principal, request_id)
    return Response(status_code=204)


def _book(state: State) -> FeedbackBook:
    return FeedbackBook(state.database, state.models.privacy, state.models.policies)
