"""The connection to a Weaviate server, and what its client says of one that does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from core.errors import Unavailable
from core.settings import Settings, SettingsError

if TYPE_CHECKING:
    from weaviate import WeaviateClient

#: The gRPC port of a server that is not told another one.
_GRPC_PORT = 50051
#: The first version that knows `ContainsNone`.
_OLDEST = (1, 33)


def connect(settings: Settings) -> "WeaviateClient":
    """A client that has reached the server by both of its interfaces.

    Raises:
        SettingsError: no server is named, it is too old, or it does not take the API key.
        Unavailable: it does not answer.
    """
    import weaviate
    from weaviate.classes.init import AdditionalConfig, Auth, Timeout

    retrieval = settings.retrieval
    if retrieval.weaviate_url is None:
        raise SettingsError("GENAI_RETRIEVAL__STORE: weaviate is at GENAI_RETRIEVAL__WEAVIATE_URL, which is not set")
    http = urlsplit(retrieval.weaviate_url)
    grpc = urlsplit(retrieval.weaviate_grpc_url or f"{http.scheme}://{http.hostname}:{_GRPC_PORT}")
    key, answer = retrieval.weaviate_api_key, retrieval.store_answer_s
    with told():
        client = weaviate.connect_to_custom(
            http_host=http.hostname or "",
            http_port=http.port or (443 if http.scheme == "https" else 80),
            http_secure=http.scheme == "https",
            grpc_host=grpc.hostname or "",
            grpc_port=grpc.port or (443 if grpc.scheme == "https" else 80),
            grpc_secure=grpc.scheme == "https",
            auth_credentials=None if key is None else Auth.api_key(key.get_secret_value()),
            additional_config=AdditionalConfig(timeout=Timeout(init=answer / 5, query=answer, insert=answer)),
            skip_init_checks=True,  # they ask a package registry for the newest client
        )
    try:
        _at_once(client)
        _check(client)
    except BaseException:
        client.close()
        raise
    return client


def _check(client: "WeaviateClient") -> None:
    from weaviate.exceptions import UnexpectedStatusCodeError

    with told():
        try:
            version = str(client.get_meta().get("version", ""))
            client.collections.exists("None")  # needs the key, which the version does not
        except UnexpectedStatusCodeError as error:
            if error.status_code in (401, 403):
                raise SettingsError("GENAI_RETRIEVAL__WEAVIATE_API_KEY: Weaviate does not take it") from None
            raise
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < _OLDEST:
        needed = ".".join(map(str, _OLDEST))
        raise SettingsError(f"GENAI_RETRIEVAL__WEAVIATE_URL: Weaviate {needed} or newer is needed, this is {version!r}")


def _at_once(client: "WeaviateClient") -> None:
    """Have calls of a server that is away fail at once: the client would wait for it up to a minute, in a thread of ours."""
    connection: Any = client._connection  # noqa: SLF001 - there is no setting for it
    connection._grpc_stub = _Stub(connection._grpc_stub)  # noqa: SLF001 - there is no setting for it


class _Stub:
    """The client's gRPC stub, whose `UNAVAILABLE` is not tried again."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._stub, name)

        def once(*args: Any, **kwargs: Any) -> Any:
            from grpc import RpcError, StatusCode

            try:
                return call(*args, **kwargs)
            except RpcError as error:
                if error.code() in (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED):
                    raise away(error) from error
                raise

        return once


def away(error: BaseException) -> Unavailable:
    """What is said of a server that does not answer, or not as it should. What it did say may be a caller's text."""
    return Unavailable("The vector store does not answer.", code="store_unavailable", context={"error": type(error).__name__})


@contextmanager
def told() -> Iterator[None]:
    """What the client raises as the platform's error."""
    from weaviate.exceptions import WeaviateBaseError

    try:
        yield
    except (WeaviateBaseError, httpx.HTTPError) as error:
        raise away(error) from error
