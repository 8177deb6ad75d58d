"""The replay of an image's build, on Dockerfiles of a few lines."""

import os
import sys
from pathlib import Path

import pytest

from infra.docker import chamber
from infra.docker.build import Build, StepFailed
from infra.docker.chamber import NoChamber, terminate
from infra.docker.dockerfile import Unreplayable

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
TINY = f"""\
FROM python:{HERE}.9-slim-bookworm AS base
ENV GREETING=hello

FROM base AS build
ARG EXTRA=none
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /build
COPY greeting.py ./
COPY parts parts
# a comment between
RUN python greeting.py "${{EXTRA}}" > said \\
    # and one within
    && test -z "$(ls -A "$HOME")" && test ! -e /work

FROM base
COPY --from=build /build /app
COPY --from=build --chown=10001:10001 /build/parts /data
WORKDIR /app
USER 10001:10001
CMD ["python", "greeting.py", "$GREETING"]
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    try:
        chamber.require()
    except NoChamber as reason:
        pytest.skip(str(reason))
    directory = tmp_path / "context"
    (directory / "parts").mkdir(parents=True)
    (directory / "greeting.py").write_text("import os, sys\nprint(os.environ['GREETING'], *sys.argv[1:], os.getuid())\n")
    (directory / "parts" / "one").write_text("1")
    (directory / "parts" / "secret").write_text("2")
    (directory / "Dockerfile").write_text(TINY)
    (directory / "Dockerfile.dockerignore").write_text("*\n!greeting.py\n!parts\n**/secret\n")
    return directory


def built(context: Path, **arguments: str) -> Build:
    return Build(context / "Dockerfile", context, context.parent / "stages", arguments)


def test_steps_are_replayed_in_a_world_of_their_own(context: Path) -> None:
    build = built(context, EXTRA="more")
    image = build.image()
    assert (image.path("/app/said")).read_text() == "hello more 0\n"
    assert sorted(file.name for file in image.path("/app/parts").iterdir()) == ["one"]
    assert image.path("/data/one").stat().st_uid == 10001
    assert [(step.stage, step.text.split()[0]) for step in build.steps] == [
        ("build", "COPY"),
        ("build", "COPY"),
        ("build", "RUN"),
        ("2", "COPY"),
        ("2", "COPY"),
    ]
    assert (image.user, image.command, image.directory) == ("10001:10001", ["python", "greeting.py", "$GREETING"], "/app")


def test_what_was_built_runs_as_somebody_else_and_writes_nowhere(context: Path, tmp_path: Path) -> None:
    image = built(context).image()
    script = "touch /app/x /data/x || touch /tmp/x && id -u && echo $GREETING && cat /app/said"
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = image.chamber.start(
            ["sh", "-c", script],
            environment=image.environment,
            directory=image.directory,
            user=image.user,
            read_only=True,
            output=file.fileno(),
        )
        assert process.wait(20) == 0
    *refused, uid, greeting, said = output.read_text().splitlines()
    assert all("Read-only file system" in line for line in refused)
    assert len(refused) == 2
    assert (uid, greeting, said) == ("10001", "hello", "hello none 0")


def test_it_ends_by_sigterm_as_in_a_container(context: Path) -> None:
    image = built(context).image("base")
    waits = "import signal, sys; signal.signal(15, lambda *_: sys.exit(7)); print(flush=True); signal.pause()"
    read, write = os.pipe()
    process = image.chamber.start(["python", "-c", waits], environment=image.environment, output=write)
    with open(read, "rb") as output:
        assert output.read(1) == b"\n"
    assert terminate(process, 20) == 7


def test_a_broken_run_fails_the_replay(context: Path) -> None:
    text = (context / "Dockerfile").read_text()
    (context / "Dockerfile").write_text(text.replace("RUN python greeting.py", "RUN python greting.py"))
    with pytest.raises(StepFailed, match=r"line 11: RUN ended with 2\n.*greting\.py"):
        built(context).image()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("COPY greeting.py ./", "COPY missing.py ./", r"line 8: COPY missing\.py"),
        ("COPY greeting.py ./", "COPY parts/secret ./", r"line 8: COPY parts/secret: it is not there, or ignored"),
    ],
    ids=["missing", "ignored"],
)
def test_a_file_that_the_build_does_not_see_fails_it(context: Path, old: str, new: str, message: str) -> None:
    (context / "Dockerfile").write_text(TINY.replace(old, new))
    with pytest.raises(StepFailed, match=message):
        built(context).image()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("WORKDIR /app", "ADD https://example.com/x /x"),
        ("WORKDIR /app", "COPY --link greeting.py /x"),
        ("slim-bookworm AS base", "slim-bookworm AS base\nUSER somebody\nRUN true"),
        (f"FROM python:{HERE}.9-slim-bookworm", "FROM python:latest"),
        ('CMD ["python", "greeting.py", "$GREETING"]', "CMD python greeting.py"),
        ("WORKDIR /app", "RUN <<EOF\ntrue\nEOF"),
    ],
    ids=["add", "copy flag", "named user", "no version", "shell form", "heredoc"],
)
def test_what_is_not_understood_is_refused(context: Path, old: str, new: str) -> None:
    (context / "Dockerfile").write_text(TINY.replace(old, new))
    with pytest.raises(Unreplayable):
        built(context).image()
