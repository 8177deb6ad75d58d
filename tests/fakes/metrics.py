"""Metrics as somebody's own package might offer them."""

import asyncio
import sys

from evals.base import Outcome, Score


class Exits:
    """Ends the process, as it believes, wherever it is asked something."""

    name, higher_is_better, signature = "exits", True, "exits"

    async def score(self, outcome: Outcome) -> Score:
        sys.exit(3)

    def corpus(self, outcomes: object) -> Score:
        sys.exit(3)

    def together(self, scored: object) -> dict[str, float]:
        sys.exit(3)


class ExitsInATask(Exits):
    """The same, in a task of its own: asyncio lets that stop the event loop."""

    async def score(self, outcome: Outcome) -> Score:
        async def leave() -> None:
            sys.exit(3)

        await asyncio.create_task(leave())
        return Score(1)


class Unmade(Exits):
    """Cannot be made."""

    def __init__(self) -> None:
        sys.exit(3)
