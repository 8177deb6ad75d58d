"""A model server that somebody runs on this machine, named by a setting: Ollama, vLLM, or any address."""

from urllib.parse import urlsplit

from langchain_core.exceptions import ModelError
from langchain_core.language_models import BaseChatModel

from core.errors import Unavailable
from core.settings import Timeouts
from providers.base import ModelState
from providers.lazy_chat import LazyChatModel
from providers.openai_protocol import Endpoint

#: The ports that these servers listen on unless they are told otherwise.
USUAL_ADDRESSES = {"ollama": "http://127.0.0.1:11434/v1", "vllm": "http://127.0.0.1:8000/v1"}


class FoundServer:
    """Its address, and which of its models is meant: the one that the setting names, else the first that it lists."""

    def __init__(self, setting: str, base_url: str, model: str | None) -> None:
        import providers.openai_transport  # noqa: F401 - 2 s: now, and not within a caller's first request

        self._setting = setting
        self._model = model
        self._problem = ""
        self.endpoint = Endpoint(base_url, "none")

    async def model(self, *, again: bool = False) -> str:
        """The model's name; asks the server where the setting does not say, or when `again`.

        Raises:
            Unavailable: code `model_unavailable`: it does not answer, or has no model.
        """
        if self._model is not None and not again:
            return self._model
        try:
            listed = await self.endpoint.models(Timeouts())
        except ModelError as error:
            self._problem = f"{self._setting}: no model server answers at {self.endpoint.base_url}"
            raise Unavailable(self._problem, code="model_unavailable") from error
        if not listed or (self._model is not None and self._model not in listed):
            self._problem = f"{self._setting}: the server does not have the model"
            raise Unavailable(self._problem, code="model_unavailable")
        self._problem = ""
        self._model = self._model or listed[0]
        return self._model

    def chat(self, timeouts: Timeouts) -> BaseChatModel:
        """A chat model that asks the server for its model's name at the first call, where it is not known yet."""

        async def find() -> BaseChatModel:
            return self.endpoint.chat(await self.model(), timeouts)

        return LazyChatModel(find=find)

    def state(self) -> ModelState:
        name = self._model or self._setting
        return ModelState(name, "failed", self._problem) if self._problem else ModelState(name, "ready")


def found_server(setting: str) -> FoundServer | None:
    """The server that a setting names; None where it names none."""
    kind, _, model = setting.partition("/")
    if kind in USUAL_ADDRESSES:
        return FoundServer(setting, USUAL_ADDRESSES[kind], model or None)
    address = urlsplit(setting)
    if address.scheme not in ("http", "https") or not address.netloc:
        return None
    base_url = address._replace(fragment="").geturl().rstrip("/")
    return FoundServer(base_url, base_url, address.fragment or None)
