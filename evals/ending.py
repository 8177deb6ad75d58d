"""The end of a run: the figures over all of its examples, and whether its thresholds hold."""

import asyncio
from collections.abc import Mapping
from typing import Any

from sqlmodel import select

from core.database import Database
from core.errors import InvalidRequest
from core.tables import EvalResult, EvalRun
from evals.comparisons import Side, compared
from evals.run_steps import RunLease
from evals.run_work import RunWork
from evals.scoring import Scorer, held
from evals.suites import Suite


async def ended_as(
    database: Database, work: RunWork, lease: RunLease, suite: Suite, scorer: Scorer
) -> tuple[dict[str, Any], bool | None]:
    """The summary, and whether all thresholds hold; None where the suite has none."""
    scores = await work.all_scores(lease)
    answered = await work.all_answered(lease) if scorer.whole else []
    figures = await asyncio.to_thread(scorer.summary, scores, answered)
    verdicts = await _against_baseline(database, lease.run, suite, figures)
    return judged(suite, figures, verdicts, total=len(scores))


def judged(
    suite: Suite, figures: Mapping[str, Any], verdicts: Mapping[str, Any], *, total: int
) -> tuple[dict[str, Any], bool | None]:
    """The same of figures that are there, with the comparison with the baseline by a metric's label."""
    thresholds = [held(one, figures[one.metric], total=total, against=verdicts.get(one.metric)) for one in suite.thresholds]
    summary: dict[str, Any] = {"metrics": dict(figures), "thresholds": thresholds}
    if verdicts:
        summary["baseline"] = dict(verdicts)
    return summary, all(one["passed"] for one in thresholds) if thresholds else None


async def _against_baseline(database: Database, run: EvalRun, suite: Suite, figures: Mapping[str, Any]) -> dict[str, Any]:
    """By the label of each metric that a threshold holds against the baseline, or of all where none does: a correction is for
    no more than what is asked. Empty where there is no baseline, it is gone, or nothing of it can be compared."""
    if run.baseline_id is None:
        return {}
    async with database.session(run.tenant) as session:
        baseline = (await session.exec(select(EvalRun).where(EvalRun.id == run.baseline_id))).first()
        if baseline is None:
            return {}
        sides = []
        for one in (baseline, run):
            query = select(EvalResult.example_id, EvalResult.scores).where(EvalResult.run_id == one.id)
            sides.append(Side(one, {example: scores for example, scores in await session.exec(query) if example}))
    run.summary = {"metrics": dict(figures)}
    asked = [one for one in suite.thresholds if one.not_worse_than_baseline]
    effects = {one.metric: one.effect for one in asked if one.effect is not None}
    labels = [one.metric for one in asked]
    try:
        found = await asyncio.to_thread(compared, sides[0], [sides[1]], alpha=suite.alpha, effects=effects, labels=labels)
    except InvalidRequest:
        return {}
    return found[run.id]
