"""An upgrade and a way back with callers all the while: servers of the version before the newest migration, and of this one, on
one database, one Redis and one store.

Whoever is asked is the next one of an order, as a balancer has it: who does not listen is passed by.
"""

import io
import secrets
import shutil
import subprocess
import sys
import tarfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from alembic.script import ScriptDirectory

from core.database import MIGRATIONS
from core.settings import Settings
from core.valkey import EmbeddedValkey
from infra.bench import drill
from infra.bench.gateway import mock_provider
from infra.postgresql import database_of_platform, postgresql
from infra.running import ROOT, Running
from infra.shared_store import shared_store

#: Since which version a server starts beside a database of a newer one, and where that is done.
_TOLERANT, _DATABASE = "database.schema_newer", "core/database.py"
_MIGRATE = (
    "import sys; from core.database import migrate; from core.settings import Settings; migrate(Settings.load(), sys.argv[1])"
)


def upgraded(place: Path, *, documents: int, callers: int, calls: int) -> dict[str, float]:
    """Fill a platform of the version before, migrate beside it, replace its server by one of this version, replace that by one
    of the version before, and take the migration back; so many calls at least at each stage.

    Raises:
        AssertionError: a call failed, or what callers see is not as it was.
        RuntimeError: there is no version before, or a command failed.
    """
    old = previous_version(place / "before")
    with ExitStack() as stack:
        provider, server = stack.enter_context(mock_provider()), stack.enter_context(postgresql())
        valkey = EmbeddedValkey(Settings.load(data_dir=place / "valkey"))
        redis = valkey.start()
        stack.callback(valkey.close)
        configuration = place / "genai.toml"
        configuration.write_text(drill.CONFIGURATION.format(provider=provider))
        common = {
            "GENAI_CONFIG": str(configuration),
            "GENAI_DATABASE_URL": database_of_platform(server, "upgraded"),
            "GENAI_REDIS_URL": redis,
            "GENAI_FILES_URL": f"file://{place / 'files'}",
            **{f"GENAI_{name}": secrets.token_urlsafe(32) for name in ("SECRET_KEY", "ENCRYPTION__KEY", "ADMIN_KEY")},
            **shared_store(place / "package"),
        }

        def started(name: str, root: Path) -> Running:
            one = Running(place / name, **common | {"PYTHONPATH": f"{root}:{common['PYTHONPATH']}"})
            one.root, one.key = root, common["GENAI_ADMIN_KEY"]
            stack.callback(one.stop)
            return one.start()

        first = started("first", old)
        reader, session = drill.filled(first, documents)
        kept = drill.state(first, reader, session)
        with _calling([first], callers) as load:
            load.more(calls)
            _migrate(first)  # this version's, beside the server of the one before
            load.more(calls)
            second = started("second", ROOT)
            load.go_to(second)
            first.stop()
            load.more(calls)
            _same("upgraded", drill.state(second, reader, session), kept)
            third = started("third", old)
            load.go_to(third)
            second.stop()
            load.more(calls)
            _same("back", drill.state(third, reader, session), kept)
            _migrate(third, "previous")
            load.more(calls)
            _same("back, schema and all", drill.state(third, reader, session), kept)
    assert not load.failed, load.failed.most_common(5)
    return {"calls": load.answered, "failed": 0, "passed_by": load.passed_by, "documents": documents}


def previous_version(place: Path) -> Path:
    """The tree as it was before the newest migration came, in a directory of its own.

    Raises:
        RuntimeError: this checkout does not know it.
    """
    newest = Path(ScriptDirectory(str(MIGRATIONS)).get_revisions("head")[0].path).relative_to(ROOT)
    came = _git("log", "--diff-filter=A", "--format=%H", "-1", "--", str(newest)).decode().strip()
    if not came:
        raise RuntimeError(f"git does not know when {newest} came: its history is needed")
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", f"{came}^"))) as tree:
        tree.extractall(place, filter="data")
    if _TOLERANT not in (place / _DATABASE).read_text():
        shutil.copy(ROOT / _DATABASE, place / _DATABASE)
    return place


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"git {arguments[0]}: {done.stderr.decode(errors='replace')[-500:]}")
    return done.stdout


def _migrate(platform: Running, to: str = "head") -> None:
    """With this version's migrations, on the platform's database."""
    environment = platform.environment() | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", _MIGRATE, to], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"migrate {to}: {done.stderr[-2000:]}")


def _same(when: str, found: Mapping[str, Any], was: Mapping[str, Any]) -> None:
    for name, value in was.items():
        assert _holds(found[name], value), f"{when}: {name}: {found[name]!r} was {value!r}"


def _holds(found: Any, was: Any) -> bool:
    """Whether all is there as it was; what a newer version tells beside it, the older one did not know."""
    if isinstance(was, Mapping) and isinstance(found, Mapping):
        return all(name in found and _holds(found[name], value) for name, value in was.items())
    if isinstance(was, (list, tuple)) and isinstance(found, (list, tuple)):
        return len(found) == len(was) and all(map(_holds, found, was))
    return bool(found == was)


class _Load:
    """What callers do and have seen."""

    def __init__(self, servers: list[Running]) -> None:
        self.servers = servers
        self.answered = self.passed_by = 0
        self.failed: Counter[str] = Counter()
        self.changed = threading.Condition()

    def go_to(self, server: Running) -> None:
        """New calls go to this server first; those that are on their way are answered by the one before."""
        self.servers = [server, *self.servers[:1]]

    def more(self, calls: int) -> None:
        """Wait for so many calls more."""
        until = self.answered + calls
        with self.changed:
            if not self.changed.wait_for(lambda: self.answered >= until, timeout=600):
                raise RuntimeError(f"{self.answered} of {until} calls")

    def tell(self, failure: str) -> None:
        with self.changed:
            self.answered += 1
            if failure:
                self.failed[failure] += 1
            self.changed.notify_all()


@contextmanager
def _calling(servers: list[Running], callers: int) -> Iterator[_Load]:
    """Callers for as long as the block, each of whom chats, whole and streamed, adds documents and searches."""
    load, stop = _Load(servers), threading.Event()
    threads = [threading.Thread(target=_call, args=(load, number, stop)) for number in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _call(load: _Load, number: int, stop: threading.Event) -> None:
    turn = 0
    while not stop.is_set():
        turn += 1
        said = {"messages": [{"role": "user", "content": str(turn)}]}
        document = {"name": f"other-{number}-{turn}.md", "text": f"Crane {turn} of caller {number} lifts ten tonnes."}
        calls: list[tuple[str, dict[str, Any], Callable[[str], bool]]] = [
            ("/api/v1/chat", said, lambda text: '"output"' in text),
            ("/api/v1/chat", said | {"stream": True}, lambda text: "event: done" in text),
            (drill.SEARCH, {"query": "pump 1 litres"}, lambda text: '"results"' in text),
        ]
        if turn % 5 == 0:
            calls.append((drill.DOCUMENTS, {"documents": [document]}, lambda text: '"job_id"' in text))
        for path, body, whole in calls:
            load.tell(_asked(load, path, body, whole))


def _asked(load: _Load, path: str, body: dict[str, Any], whole: Callable[[str], bool]) -> str:
    """What failed; empty where the answer is whole."""
    for server in load.servers:
        try:
            answer = httpx.post(
                server.url + path,
                json=body,
                headers={"authorization": f"Bearer {server.key}", "connection": "close"},
                timeout=120,
                trust_env=False,
                verify=server.verify,
            )
        except httpx.ConnectError:
            load.passed_by += 1
            continue
        except httpx.HTTPError as error:
            return f"{path}: {type(error).__name__}"
        ok = answer.status_code < 300 and whole(answer.text)
        return "" if ok else f"{path}: {answer.status_code} {answer.text[-200:]}"
    return f"{path}: nobody listens"
