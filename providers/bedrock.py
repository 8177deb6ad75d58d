"""AWS Bedrock: any model of the Converse API through `ChatBedrockConverse`, and its embeddings.

Credentials, first found: `api_key` (a Bedrock API key), `access_key_id` with `secret_access_key`, `profile`, then AWS's own
chain (variables, shared configuration, container or instance role). `role` is assumed with whichever was found.

A model is an id (`anthropic.claude-…`), an inference profile (`us.anthropic.claude-…`) or an ARN; an application inference
profile's ARN says nothing of its model, which follows it after a `#`.
"""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings
from langchain_core.exceptions import ModelInvalidRequestError
from langchain_core.language_models import BaseChatModel

from core.settings import ProviderSettings, Settings, Timeouts, usual_variable
from core.transport.plaintext import problem_of
from providers.base import ModelFacts, ModelState
from providers.building import BuiltModels
from providers.facts import facts_of
from providers.neutral import NeutralEmbeddings, not_configured
from providers.own_connections import OwnConnections
from providers.tokens import estimate
from providers.wire import Connections

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.session import Session

#: Seconds that AWS may be silent when a role is assumed; boto3 would wait for five minutes, and all calls with it.
_ROLE_S = 5


class BedrockProvider:
    """One AWS account and region. Clients are made at first use and shared by all threads; boto3's are safe for that."""

    def __init__(self, name: str, settings: Settings, configured: ProviderSettings) -> None:
        self.name = name
        self._configured = configured
        self._tls = settings.tls
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._clients: dict[tuple[float, float], BaseClient] = {}
        self._built = BuiltModels(self._chat)
        self._embedders: dict[tuple[str, Timeouts], NeutralEmbeddings] = {}
        self._threads = ThreadPoolExecutor(configured.connections, thread_name_prefix=name)
        self._aside = ThreadPoolExecutor(configured.connections, thread_name_prefix=f"{name}-aside")
        self._lines = OwnConnections(configured.connections)

    def chat(self, model: str, timeouts: Timeouts) -> BaseChatModel:
        return self._built.get(model, timeouts)

    def _chat(self, model: str, timeouts: Timeouts) -> BaseChatModel:
        self.facts(model)  # loads the price tables in this thread rather than on the loop
        from langchain_aws.utils import parse_model_provider

        from providers.bedrock_chat import chat_class

        whole = self._client(timeouts.connect, timeouts.total)
        streamed = self._client(timeouts.connect, max(timeouts.first_token, timeouts.between_tokens))
        identifier, _, base = model.partition("#")
        if "application-inference-profile" in identifier and not base:
            raise not_configured(f"Bedrock: what model {identifier} stands for must follow it after a '#'.")
        return chat_class()(
            model=identifier,
            provider=parse_model_provider((base or identifier).rpartition("/")[2]),
            **({"base_model": base} if base else {}),
            client=SimpleNamespace(converse=whole.converse, converse_stream=streamed.converse_stream, meta=whole.meta),
            bedrock_client=SimpleNamespace(),  # the control plane, which is asked only about profiles without a base model
            threads=self._threads,
        )

    def connection(self, model: str) -> AbstractAsyncContextManager[None]:
        """One for a chat model's call, and with it one of the threads that run those; embeddings and probes have their own."""
        return self._lines.held()

    def connections(self) -> Connections:
        return self._lines.use()

    def embeddings(self, model: str, timeouts: Timeouts) -> Embeddings:
        made = NeutralEmbeddings(lambda: self._embedder(model, timeouts), _translate, self._aside)
        return self._embedders.setdefault((model, timeouts), made)

    def _embedder(self, model: str, timeouts: Timeouts) -> Embeddings:
        from langchain_aws import BedrockEmbeddings

        return BedrockEmbeddings(client=self._client(timeouts.connect, timeouts.total), model_id=model)

    def facts(self, model: str) -> ModelFacts:
        return facts_of("bedrock", model.partition("#")[2] or model)

    def count_tokens(self, model: str, text: str) -> int:
        return estimate(text)

    async def warm(self, model: str, timeouts: Timeouts | None = None) -> None:
        if "embed" not in model:
            await self._built.built(model, timeouts or Timeouts())

    def state(self, model: str) -> ModelState:
        identifier, _, base = model.partition("#")
        return ModelState(base or identifier, "ready" if self._built.has(model) else "idle")

    async def probe(self, model: str) -> None:
        """Send an empty request: AWS checks the credentials, the right to the model and its name before it refuses it, free."""
        await asyncio.get_running_loop().run_in_executor(self._aside, self._ask_nothing, model.partition("#")[0])

    async def close(self) -> None:
        for threads in (self._threads, self._aside):
            threads.shutdown(wait=False, cancel_futures=True)
        for client in self._clients.values():
            await asyncio.to_thread(client.close)
        self._clients.clear()

    def _ask_nothing(self, model: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        from providers.bedrock_chat import translate

        client: Any = self._client(5, 10)
        try:
            if "embed" in model:
                client.invoke_model(modelId=model, body=b"{}", contentType="application/json")
            else:
                client.converse(modelId=model, messages=[])
        except (BotoCoreError, ClientError) as error:
            found = translate(error)
            if not isinstance(found, ModelInvalidRequestError):  # what an empty request is, where all else is well
                raise found from error

    def _client(self, connect_s: float, read_s: float) -> "BaseClient":
        with self._lock:
            if (connect_s, read_s) not in self._clients:
                self._clients[connect_s, read_s] = self._make_client(connect_s, read_s)
            return self._clients[connect_s, read_s]

    def _make_client(self, connect_s: float, read_s: float) -> "BaseClient":
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        from providers.bedrock_calls import watch_connections

        config = Config(
            connect_timeout=connect_s,
            read_timeout=read_s,
            max_pool_connections=self._configured.connections,
            retries={"total_max_attempts": 1, "mode": "standard"},
            auth_scheme_preference="httpBearerAuth" if self._configured.api_key else None,
        )
        region = self._configured.region or usual_variable("AWS_REGION", "AWS_DEFAULT_REGION")
        try:
            self._session = self._session or _session(self._configured, region)
            client = self._session.create_client(
                "bedrock-runtime", region_name=region, endpoint_url=self._configured.base_url, config=config
            )
        except BotoCoreError as error:
            raise not_configured(f"Bedrock: {error}") from error
        if self._configured.base_url is None and (problem := problem_of(client.meta.endpoint_url, self._tls)):
            raise not_configured(f"Bedrock, whose address is AWS's configuration: {problem}")
        watch_connections(client)
        for name, value in self._configured.extra_headers.items():
            client.meta.events.register("before-sign.bedrock-runtime", _Header(name, value))
        return client


class _Header:
    """Adds one header to a request before it is signed."""

    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value

    def __call__(self, request: Any, **_: object) -> None:
        request.headers[self.name] = self.value


def _session(configured: ProviderSettings, region: str | None) -> "Session":
    """A session with the credentials that are configured, else AWS's own chain."""
    from botocore.config import Config
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.session import Session
    from botocore.tokens import FrozenAuthToken

    session = Session(profile=configured.profile)
    if configured.api_key:
        token = FrozenAuthToken(configured.api_key.get_secret_value())
        held = SimpleNamespace(get_frozen_token=lambda: token)
        session.register_component("token_provider", SimpleNamespace(load_token=lambda **_: held))
    elif configured.access_key_id and configured.secret_access_key:
        session.set_credentials(
            configured.access_key_id.get_secret_value(),
            configured.secret_access_key.get_secret_value(),
            configured.session_token.get_secret_value() if configured.session_token else None,
        )
    if configured.role:

        def client(service: str, **options: Any) -> "BaseClient":
            limits = Config(
                connect_timeout=_ROLE_S, read_timeout=_ROLE_S, retries={"total_max_attempts": 2, "mode": "standard"}
            )
            return session.create_client(service, **{"region_name": region, "config": limits, **options})

        fetcher = AssumeRoleCredentialFetcher(
            client, session.get_credentials(), configured.role, extra_args={"RoleSessionName": "genai-platform"}
        )
        assumed = Session(profile=configured.profile)
        assumed._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")  # noqa: SLF001 - the session has no public way
        return assumed
    return session


def _translate(error: Exception) -> Exception:
    from providers.bedrock_chat import translate

    return translate(error)
