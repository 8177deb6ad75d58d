"""Identity providers on loopback: a real one (oidc-provider-mock), and one that answers whatever a test wants."""

import base64
import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import flask
import oidc_provider_mock
from fastapi import FastAPI, Request
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.responses import JSONResponse, Response
from werkzeug.serving import make_server

CLIENT, SECRET = "genai-client", "a secret / of the client+"


@contextmanager
def identity_server(people: dict[str, dict[str, object]]) -> Iterator[str]:
    """The issuer of a real OpenID provider that knows `people` by subject, with claims of theirs. It also holds its clients to
    PKCE, which oidc-provider-mock leaves to them."""
    users = [oidc_provider_mock.User(sub=subject, claims=claims) for subject, claims in people.items()]
    app = oidc_provider_mock.app(require_nonce=True, user_claims=users)
    challenges: set[str] = set()

    @app.before_request
    def hold_to_pkce() -> Any:
        if flask.request.path == "/oauth2/authorize":
            challenges.add(flask.request.args["code_challenge"])
            if flask.request.args["code_challenge_method"] != "S256":
                return {"error": "invalid_request"}, 400
        if flask.request.path == "/oauth2/token":
            digest = hashlib.sha256(flask.request.form["code_verifier"].encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() not in challenges:
                return {"error": "invalid_grant"}, 400
        return None

    server = make_server("localhost", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


@dataclass
class ScriptedProvider:
    """A provider whose every answer a test can change. `issuer` is known once it is served."""

    issuer: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "first"}))
    published: list[Any] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    id_token: str = ""
    userinfo: dict[str, Any] | None = None
    token_status: int = 200
    token_calls: list[dict[str, str]] = field(default_factory=list)
    discoveries: int = 0

    def signed(self, nonce: str, *, key: Any = None, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """An ID token as it should be but for what is changed; None leaves a claim out."""
        now = int(time.time())
        good = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "ada",
            "nonce": nonce,
            "iat": now,
            "exp": now + 300,
            "email": "ada@example.test",
            "email_verified": True,
            "groups": ["staff"],
        }
        claims = {name: value for name, value in (good | changed).items() if value is not None}
        protected = {"alg": "RS256", "kid": "first"} | (header or {})
        return jwt.encode(protected, claims, key or self.key, algorithms=[protected["alg"]])

    def application(self) -> FastAPI:
        app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        async def discovery() -> dict[str, Any]:
            self.discoveries += 1
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
            } | self.metadata

        @app.get("/jwks")
        async def keys() -> dict[str, Any]:
            return {"keys": [*self.published, self.key.as_dict(private=False)]}

        @app.post("/token")
        async def token(request: Request) -> Response:
            form = await request.form()
            self.token_calls.append({name: str(value) for name, value in form.items()})
            answer = {"access_token": "opaque", "token_type": "Bearer", "id_token": self.id_token}
            return JSONResponse(answer if self.token_status == 200 else {"error": "invalid_grant"}, self.token_status)

        @app.get("/userinfo")
        async def userinfo() -> Response:
            return JSONResponse(self.userinfo, 200 if self.userinfo is not None else 500)

        return app
