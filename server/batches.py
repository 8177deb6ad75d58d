"""What the routes of batches share: a batch is made of a file that its maker may read, for an endpoint that they may call."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from chains.endpoints import scope_of
from core import denials
from core.batches import QUEUE, RUN_BATCH, Batches
from core.context import current
from core.errors import InvalidRequest
from core.policies.retention import refuse_keeping
from core.principals import Principal
from core.stored_files import BATCH, StoredFiles
from core.tables import Batch, BatchState
from server.state import State

Labels = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16, description="names and texts of the caller's own, kept with the batch"),
]


async def begin(
    state: State, principal: Principal, *, endpoint: str, input_file_id: str, labels: Mapping[str, str] | None
) -> Batch:
    """Make a batch and send it to the workers.

    Raises:
        InvalidRequest: `unknown_endpoint`; `invalid_purpose`, the file is none of requests; `nothing_kept`.
        Forbidden: the caller may not call the endpoint.
        NotFound: `file_not_found`.
    """
    refuse_batch(state)
    check_endpoint(principal, endpoint)
    file = await StoredFiles(state.database, state.library.resources.files).get(principal, input_file_id)
    if file.purpose != BATCH:
        raise InvalidRequest("The file does not hold requests.", code="invalid_purpose", param="input_file_id")
    batch = await Batches(state.database).create(principal, endpoint=endpoint, input_file=file, labels=labels)
    await state.queue.send(RUN_BATCH, batch.id, queue=QUEUE)
    return batch


async def cancel(state: State, principal: Principal, batch_id: str) -> Batch:
    """Ask for a batch's end. Raises NotFound (`batch_not_found`)."""
    batch = await Batches(state.database).cancel(principal, batch_id)
    if not BatchState(batch.state).finished:
        await state.queue.send(RUN_BATCH, batch.id, queue=QUEUE)
    return batch


def refuse_batch(state: State) -> None:
    """Raises InvalidRequest (`nothing_kept`): a batch lives by what is kept of it."""
    refuse_keeping(state.models.policies, current(), "it cannot be, or be for, a batch")


def check_endpoint(principal: Principal, endpoint: str) -> None:
    """Raises InvalidRequest (`unknown_endpoint`) or Forbidden."""
    scope = scope_of(endpoint)
    if not principal.may(scope):
        raise denials.lacks(principal, scope)
