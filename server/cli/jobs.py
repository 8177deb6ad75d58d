"""`genai jobs`: what the platform is working on."""

from typing import Annotated, Any

import typer
from rich.console import Console

from server.cli import tables
from server.cli.client import platform_of
from server.cli.progress import follow

app = typer.Typer(help="Jobs: list, show, watch, cancel.", no_args_is_help=True)
JobID = Annotated[str, typer.Argument(metavar="JOB", help="The job's identifier.")]
STYLES = {"succeeded": "green", "failed": "red", "running": "yellow", "cancelled": "dim"}


@app.command("list")
def list_jobs(context: typer.Context, limit: Annotated[int, typer.Option(min=1, max=200)] = 20) -> None:
    """The newest jobs."""
    rows = tables.table("job", "kind", "state", "done", "skipped", "errors", "created")
    for job in platform_of(context).get("/api/v1/jobs", limit=limit)["results"]:
        rows.add_row(*_row(job))
    tables.show(rows)


@app.command("show")
def show(context: typer.Context, job: JobID) -> None:
    """One job, with what went wrong in it."""
    _tell(platform_of(context).get(f"/api/v1/jobs/{job}"))


@app.command("watch")
def watch(context: typer.Context, job: JobID) -> None:
    """Follow a job to its end. Exit 1 when it failed."""
    final = follow(platform_of(context), [job])[0]
    _tell(final)
    if final["state"] != "succeeded":
        raise typer.Exit(1)


@app.command("cancel")
def cancel(context: typer.Context, job: JobID) -> None:
    """Stop a job. What it has already done stays."""
    _tell(platform_of(context).post(f"/api/v1/jobs/{job}/cancel"))


@app.command("pause")
def pause(context: typer.Context, job: JobID) -> None:
    """Begin nothing more of a job until it is resumed."""
    _tell(platform_of(context).post(f"/api/v1/jobs/{job}/pause"))


@app.command("resume")
def resume(context: typer.Context, job: JobID) -> None:
    """Go on with a job that was paused."""
    _tell(platform_of(context).post(f"/api/v1/jobs/{job}/resume"))


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    progress = job["progress"]
    style = STYLES.get(job["state"], "")
    state = f"[{style}]{job['state']}[/{style}]" if style else job["state"]
    state += " (paused)" if job.get("paused") else ""
    done = f"{progress['done']}/{progress['total']}"
    counts = str(job.get("skipped", 0)), str(job.get("failed", len(job["errors"])))
    return job["id"], job.get("kind", ""), state, done, *counts, str(job.get("created_at", ""))[:19]


def _tell(job: dict[str, Any]) -> None:
    console = Console(highlight=False)
    identifier, kind, state, done, skipped, _, created = _row(job)
    unchanged = f", {skipped} of them unchanged," if skipped != "0" else ""
    deleted = f", {job['removed']} deleted before their turn," if job.get("removed") else ""
    console.print(f"{identifier} {kind} {state} {done}{unchanged}{deleted} {created}")
    for error in job["errors"]:
        console.print(f"  [red]{error['code']}[/red] {error['document']}: ", end="")
        console.print(error["message"], markup=False)
