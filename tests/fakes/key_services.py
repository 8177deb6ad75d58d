"""Loopback key and secret services: AWS KMS and Secrets Manager, Google KMS and Secret Manager, Azure Key Vault, HashiCorp
Vault, with the token servers of Google and of Azure's managed identity. Keys are real: what is wrapped for one context opens
for no other.
"""

import base64
import json
import secrets
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "loopback-token"
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
Answer = tuple[int, dict[str, Any]]


class KeyServices:
    """A context manager. `secrets` are by the names that each service has for them; `status` fails every request with it."""

    def __init__(self) -> None:
        self.secrets: dict[str, Any] = {}
        self.status: int | None = None
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self._cipher = AESGCM(secrets.token_bytes(32))
        self._rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(lambda *asked: self.answer(*asked)))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def environment(self, directory: Path) -> dict[str, str]:
        """The clouds' usual variables, each of which leads here."""
        pem = self._rsa.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        account = {"type": "service_account", "client_email": "a@p.example", "private_key": pem, "private_key_id": "1"}
        file = directory / "google.json"
        file.write_text(json.dumps(account | {"token_uri": f"{self.url}/google/token", "project_id": "p"}))
        return {
            "AWS_ACCESS_KEY_ID": "AKIDTEST",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL_KMS": f"{self.url}/aws",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": f"{self.url}/aws",
            "GOOGLE_APPLICATION_CREDENTIALS": str(file),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS": f"{self.url}/google/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER": f"{self.url}/google/",
            "IDENTITY_ENDPOINT": f"{self.url}/azure/token",
            "IDENTITY_HEADER": "header",
            "VAULT_ADDR": f"{self.url}/vault",
            "VAULT_TOKEN": TOKEN,
        }

    def answer(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Answer:
        self.asked.append((path, headers, body))
        if urlsplit(path).path.endswith("/token"):
            token = {"access_token": TOKEN, "expires_in": 3600, "expires_on": "4102444800", "token_type": "Bearer"}
            return 200, token | {"resource": "https://vault.azure.net"}
        if self.status is not None:
            return self.status, {"error": "as the test wishes", "__type": "KMSInternalException"}
        cloud = path.split("/")[1]
        if cloud == "aws":
            return self._aws(headers, body)
        if headers.get("x-vault-token" if cloud == "vault" else "authorization") not in (TOKEN, f"Bearer {TOKEN}"):
            return 403, {"error": "no token"}
        answers = {"google": self._google, "azure": self._azure, "vault": self._vault}
        return answers[cloud](urlsplit(path).path.removeprefix(f"/{cloud}"), body)

    def _aws(self, headers: dict[str, str], body: dict[str, Any]) -> Answer:
        verb = headers["x-amz-target"].partition(".")[2]
        if verb == "GetSecretValue":
            found = self.secrets.get(body["SecretId"])
            return (200, {"SecretString": found}) if found else (400, {"__type": "ResourceNotFoundException"})
        bound_to = json.dumps([body["KeyId"], body["EncryptionContext"]], sort_keys=True)
        if verb == "Encrypt":
            return 200, {"CiphertextBlob": self._wrapped(body["Plaintext"], bound_to), "KeyId": body["KeyId"]}
        secret = self._unwrapped(body["CiphertextBlob"], bound_to)
        return (200, {"Plaintext": secret}) if secret else (400, {"__type": "InvalidCiphertextException"})

    def _google(self, path: str, body: dict[str, Any]) -> Answer:
        name, _, verb = path.removeprefix("/v1/").partition(":")
        if verb == "access":
            found = self.secrets.get(name)
            return (200, {"payload": {"data": base64.b64encode(found.encode()).decode()}}) if found else (404, {})
        bound_to = name + body["additionalAuthenticatedData"]
        if verb == "encrypt":
            return 200, {"ciphertext": self._wrapped(body["plaintext"], bound_to)}
        secret = self._unwrapped(body["ciphertext"], bound_to)
        return (200, {"plaintext": secret}) if secret else (400, {"error": {"status": "INVALID_ARGUMENT"}})

    def _azure(self, path: str, body: dict[str, Any]) -> Answer:
        if path.startswith("/secrets/"):
            found = self.secrets.get(path.removeprefix("/secrets/"))
            return (200, {"value": found}) if found else (404, {})
        if path == "/keys/ours":
            return 200, {"key": {"kid": f"{self.url}/azure/keys/ours/v1", "kty": "RSA"}}
        data = base64.urlsafe_b64decode(body["value"] + "==")
        if path == "/keys/ours/v1/wrapkey":
            wrapped = self._rsa.public_key().encrypt(data, _OAEP)
            return 200, {"kid": f"{self.url}/azure/keys/ours/v1", "value": _url64(wrapped)}
        try:
            return 200, {"value": _url64(self._rsa.decrypt(data, _OAEP))}
        except ValueError:
            return 400, {"error": {"code": "BadParameter"}}

    def _vault(self, path: str, body: dict[str, Any]) -> Answer:
        if path.startswith("/v1/transit/encrypt/"):
            return 200, {"data": {"ciphertext": "vault:v1:" + self._wrapped(body["plaintext"], body["associated_data"])}}
        if path.startswith("/v1/transit/decrypt/"):
            secret = self._unwrapped(body["ciphertext"].removeprefix("vault:v1:"), body["associated_data"])
            return (
                (200, {"data": {"plaintext": secret}})
                if secret
                else (400, {"errors": ["cipher: message authentication failed"]})
            )
        found = self.secrets.get(path.removeprefix("/v1/"))
        return (200, {"data": found}) if found else (404, {"errors": []})

    def _wrapped(self, data: str, bound_to: str) -> str:
        nonce = secrets.token_bytes(12)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, base64.b64decode(data), bound_to.encode())).decode()

    def _unwrapped(self, data: str, bound_to: str) -> str | None:
        try:
            raw = base64.b64decode(data)
            return base64.b64encode(self._cipher.decrypt(raw[:12], raw[12:], bound_to.encode())).decode()
        except (ValueError, InvalidTag):
            return None


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _handler(answer: Callable[[str, dict[str, str], dict[str, Any]], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length") or 0))
            try:
                body = json.loads(content or b"{}")
            except ValueError:  # a form, for a token
                body = {}
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, told = answer(self.path, headers, body)
            written = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(written)))
            self.end_headers()
            self.wfile.write(written)

        do_GET = do_POST = _respond  # noqa: N815 - the standard library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
