"""The command line against a running platform, as a person and as a script use it."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import httpx
import pytest

from infra import samples
from infra.running import Running
from tests.retrievers import making

#: A client says the same whatever the platform keeps its rows in.
pytestmark = pytest.mark.one_database

GENAI = Path(sys.executable).with_name("genai")


class Terminal:
    """Runs `genai` with a home directory of its own."""

    def __init__(self, platform: Running, home: Path) -> None:
        self.platform = platform
        self.home = home

    def __call__(
        self, *arguments: str, key: str | None = None, stdin: str = "", columns: int = 200
    ) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GENAI_")}
        environment |= {"HOME": str(self.home), "GENAI_URL": self.platform.url, "NO_COLOR": "1", "COLUMNS": str(columns)}
        environment.pop("XDG_CONFIG_HOME", None)
        if key:
            environment["GENAI_API_KEY"] = key
        return subprocess.run(
            [str(GENAI), *arguments], env=environment, input=stdin, capture_output=True, text=True, timeout=110, check=False
        )


@pytest.fixture
def genai(platform: Running, tmp_path: Path) -> Terminal:
    """Logged in as the administrator."""
    terminal = Terminal(platform, tmp_path)
    done = terminal("login", "--key", platform.key)
    assert done.returncode == 0, done.stderr
    return terminal


def test_login_keeps_the_key_where_only_its_owner_can_read_it(genai: Terminal) -> None:
    kept = list(genai.home.rglob("credentials.json"))
    assert [path.stat().st_mode & 0o777 for path in kept] == [0o600]
    assert genai("logout").returncode == 0
    refused = genai("jobs", "list")
    assert refused.returncode == 1
    assert "genai login" in refused.stderr


def test_login_reads_a_key_from_a_pipe(platform: Running, tmp_path: Path) -> None:
    done = Terminal(platform, tmp_path)("login", stdin=f"{platform.key}\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.rglob("credentials.json"))


def test_a_wrong_key_is_not_kept(platform: Running, tmp_path: Path) -> None:
    terminal = Terminal(platform, tmp_path)
    assert terminal("login", "--key", "wrong").returncode == 1
    assert not list(tmp_path.rglob("credentials.json"))


def test_chat_prints_the_reply_and_nothing_else(genai: Terminal) -> None:
    done = genai("chat", "Say hello in one short sentence.")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


def test_a_conversation_reads_line_by_line_until_the_end(genai: Terminal) -> None:
    done = genai("chat", "--session", uuid.uuid4().hex, stdin="Say hello.\nSay goodbye.\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("you >") == 3


def test_a_folder_comes_in_its_questions_are_answered_and_a_second_run_changes_nothing(
    genai: Terminal, client: httpx.Client, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    for name, data in {
        **samples.one_of_each(),
        "below/deeper.txt": b"The anchor weighs nine tonnes.",
        ".hidden": b"no",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "noise.bin").write_bytes(bytes(range(256)))
    (folder / "nothing.txt").touch()
    collection = f"cli-{uuid.uuid4().hex[:8]}"

    done = genai("ingest", str(folder), "-c", collection)
    assert done.returncode == 1, done.stderr
    assert "unsupported_file_type noise.bin:" in done.stderr
    assert "empty_file nothing.txt:" in done.stderr
    assert f"9 documents in {collection}, 2 not readable, 0 failed." in done.stderr
    path = f"/api/v1/rag/collections/{collection}/documents"
    before = {row["name"]: row["updated_at"] for row in client.get(path).json()["results"] if row["state"] == "ready"}
    assert set(before) == {*samples.one_of_each(), "below/deeper.txt"}

    (folder / "noise.bin").unlink()
    (folder / "nothing.txt").unlink()
    again = genai("ingest", str(folder), "-c", collection)
    assert again.returncode == 0
    assert f"9 documents in {collection}, 9 of them unchanged, 0 not readable, 0 failed." in again.stderr
    after = {row["name"]: row["updated_at"] for row in client.get(path).json()["results"] if row["state"] == "ready"}
    assert after == before

    asked = genai("ask", "-c", collection, "What is the maximum depth of the Lumen probe?")
    assert "4,200 metres" in asked.stdout
    assert "[1] probe.txt" in asked.stdout


def test_a_link_out_of_a_folder_is_told_and_left_out_unless_asked_for(
    genai: Terminal, client: httpx.Client, tmp_path: Path
) -> None:
    folder, outside = tmp_path / "linked", tmp_path / "outside.txt"
    folder.mkdir()
    outside.write_text("The outer anchor weighs three tonnes.")
    (folder / "inner.txt").write_text("The inner anchor weighs nine tonnes.")
    (folder / "again.txt").symlink_to(folder / "inner.txt")
    (folder / "out.txt").symlink_to(outside)
    collection = f"cli-{uuid.uuid4().hex[:8]}"
    path = f"/api/v1/rag/collections/{collection}/documents"

    done = genai("ingest", str(folder), "-c", collection)
    assert done.returncode == 0, done.stderr
    assert f"{folder / 'out.txt'}: left out" in done.stderr
    assert len(client.get(path).json()["results"]) == 1
    assert genai("ingest", str(folder), "-c", collection, "--follow-links").returncode == 0
    assert "out.txt" in {row["name"] for row in client.get(path).json()["results"]}


def test_a_folder_with_odd_files_and_names_is_brought_in_but_for_what_cannot_be(
    genai: Terminal, client: httpx.Client, tmp_path: Path
) -> None:
    folder = tmp_path / "odd"
    (folder / "/".join(["deep" * 60] * 5)).mkdir(parents=True)
    files = ["a.txt", 'the "best" plan.txt', "two\nlines.txt", "z.txt", "/".join([*["deep" * 60] * 5, "far.txt"])]
    for number, name in enumerate(files):
        (folder / name).write_text(f"The word number {number} is heron.")
    with open(os.fsencode(folder) + b"/caf\xe9.txt", "w") as latin:
        latin.write("The coffee is cold.")
    with (folder / "m_video.bin").open("wb") as video:
        video.truncate(70 * 2**20)
    collection = f"cli-{uuid.uuid4().hex[:8]}"

    done = genai("ingest", str(folder), "-c", collection, "--prune")
    assert done.returncode == 1
    assert "body_too_large m_video.bin:" in done.stderr
    assert "invalid_name deep" in done.stderr
    assert f"5 documents in {collection}, 0 not readable, 2 failed." in done.stderr
    assert "no longer" not in done.stderr
    names = {row["name"] for row in client.get(f"/api/v1/rag/collections/{collection}/documents").json()["results"]}
    assert names == {"a.txt", 'the "best" plan.txt', "two lines.txt", "z.txt", "café.txt"}


def test_folders_with_a_file_of_the_same_name_stand_beside_each_other(
    genai: Terminal, client: httpx.Client, tmp_path: Path
) -> None:
    for name, leader in (("alpha", "Rosa Quint"), ("beta", "Ben Castle"), ("moved/beta", "Cleo Dorn")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "README.md").write_text(f"The {name} project is led by {leader}.")
    collection = f"cli-{uuid.uuid4().hex[:8]}"

    def names() -> set[str]:
        return {row["name"] for row in client.get(f"/api/v1/rag/collections/{collection}/documents").json()["results"]}

    assert genai("ingest", str(tmp_path / "alpha"), "-c", collection).returncode == 0
    beside = genai("ingest", str(tmp_path / "beta"), "-c", collection)
    assert "beta/README.md: called so, since there is one of that name from another folder." in beside.stderr
    assert names() == {"README.md", "beta/README.md"}
    both = genai("ingest", str(tmp_path / "alpha"), str(tmp_path / "beta"), "-c", collection, "--prune")
    assert f"2 documents in {collection}, 2 of them unchanged, 0 not readable, 0 failed." in both.stderr
    assert "no longer" not in both.stderr
    elsewhere = genai("ingest", str(tmp_path / "moved/beta"), "-c", collection)
    assert "in place of what came from a folder of the same name elsewhere" in elsewhere.stderr
    assert names() == {"README.md", "beta/README.md"}
    files = [str(tmp_path / name / "README.md") for name in ("alpha", "beta")]
    assert genai("ingest", *files, "-c", f"{collection}-two").returncode == 0


def test_what_is_gone_from_its_folder_is_told_and_pruned_when_asked_for(
    genai: Terminal, platform: Running, client: httpx.Client, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("kept.txt", "gone.txt"):
        (folder / name).write_text(f"The word of {name} is zebra.")
    (folder / "kept.zip").write_bytes(making.zipped({"in/a.txt": "The word of the archive is tern."}))
    collection = f"cli-{uuid.uuid4().hex[:8]}"
    platform.ingest(client, collection, {"by-another-way.txt": b"The word of the other way is heron."})
    assert genai("ingest", str(folder), "-c", collection).returncode == 0

    def names() -> set[str]:
        return {row["name"] for row in client.get(f"/api/v1/rag/collections/{collection}/documents").json()["results"]}

    (folder / "gone.txt").unlink()
    told = genai("ingest", str(folder), "-c", collection)
    assert "1 document is no longer in the folder" in told.stderr
    kept = {"kept.txt", "kept.zip", "kept.zip/in/a.txt", "by-another-way.txt"}
    assert names() == {"gone.txt"} | kept
    pruned = genai("ingest", str(folder), "-c", collection, "--prune")
    assert pruned.returncode == 0
    assert "1 document is no longer in the folder, and deleted: gone.txt" in pruned.stderr
    assert names() == kept
    assert "no longer" not in genai("ingest", str(folder), "-c", collection).stderr


def test_jobs_are_listed_shown_and_watched(genai: Terminal, platform: Running, client: httpx.Client) -> None:
    job = platform.ingest(client, f"cli-{uuid.uuid4().hex[:8]}", samples.many(2, words=20))
    assert job["id"] in genai("jobs", "list", columns=60).stdout  # a script gets all of it, whatever the terminal's width
    assert "succeeded" in genai("jobs", "show", job["id"]).stdout
    assert genai("jobs", "watch", job["id"]).returncode == 0
    missing = genai("jobs", "show", "job_missing")
    assert missing.returncode == 1
    assert missing.stderr.startswith("job_not_found:")


def test_a_key_is_made_used_and_revoked(genai: Terminal) -> None:
    made = genai("keys", "create", "for a script", "--role", "user", "--days", "1")
    assert made.returncode == 0, made.stderr
    key, identifier = made.stdout.strip(), made.stderr.partition(":")[0]
    genai("logout")
    assert genai("jobs", "list", key=key).returncode == 0
    assert genai("keys", "list", key=key).returncode == 1
    assert genai("keys", "revoke", identifier, key=genai.platform.key).returncode == 0
    assert genai("jobs", "list", key=key).returncode == 1


def test_a_key_is_narrowed_and_rotated(genai: Terminal) -> None:
    made = genai("keys", "create", "narrow", "--scope", "jobs:read", "--scope", "models:read", "--model", "other")
    assert made.returncode == 0, made.stderr
    old, identifier = made.stdout.strip(), made.stderr.partition(":")[0]
    new = genai("keys", "rotate", identifier, "--overlap", "0").stdout.strip()
    assert genai("jobs", "list", key=old).returncode == 1
    assert genai("jobs", "list", key=new).returncode == 0
    assert "default" not in genai("models", key=new).stdout
    assert "chat:invoke" in genai("chat", "Hello", key=new).stderr


def test_a_sign_in_link_can_be_had(genai: Terminal) -> None:
    link = genai("keys", "link").stdout.strip()
    assert httpx.get(link, trust_env=False).status_code == 303


def test_without_a_platform_it_says_how_to_start_one(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "COLUMNS": "200"}
    done = subprocess.run(
        [str(GENAI), "--url", "http://127.0.0.1:9", "jobs", "list"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "make run" in done.stderr


@pytest.mark.parametrize(
    ("given", "spoken_to"),
    [
        ({"GENAI_PORT": "9"}, "http://127.0.0.1:9"),
        ({"GENAI_PORT": "9", "GENAI_PUBLIC_URL": "http://127.0.0.1:7/"}, "http://127.0.0.1:7"),
        ({"GENAI_PORT": "9", "GENAI_URL": "http://127.0.0.1:11"}, "http://127.0.0.1:11"),
    ],
)
def test_it_finds_the_platform_by_the_settings_that_started_it(given: dict[str, str], spoken_to: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GENAI_")}
    environment |= {"HOME": str(tmp_path), "COLUMNS": "200"} | given
    done = subprocess.run([str(GENAI), "jobs", "list"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"No platform answers at {spoken_to}." in done.stderr


def test_the_help_of_serve_lists_the_settings(tmp_path: Path) -> None:
    done = subprocess.run([str(GENAI), "serve", "--help"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "GENAI_LOCAL__SLOTS" in done.stdout


def test_a_model_is_switched_off_and_on_again(genai: Terminal) -> None:
    assert genai("kill", "set", "model", "onyl", "--reason", "x").returncode == 1
    assert genai("kill", "set", "model", "embeddings", "--reason", "It drifts.").returncode == 0
    assert "It drifts." in genai("kill", "list").stdout
    assert genai("kill", "lift", "model", "embeddings").returncode == 0
    assert "It drifts." not in genai("kill", "list").stdout


def test_the_audit_log_is_listed_and_verified(genai: Terminal) -> None:
    made = genai("keys", "create", "on record", "--role", "user")
    identifier = made.stderr.partition(":")[0]
    assert genai("keys", "revoke", identifier).returncode == 0
    listed = genai("audit", "list", "--object", identifier).stdout
    assert "key.created" in listed
    assert "key.revoked" in listed
    assert "settings.started" in genai("audit", "list", "--action", "settings.started").stdout
    whole = genai("audit", "verify")
    assert (whole.returncode, whole.stdout.startswith("whole: ")) == (0, True)
