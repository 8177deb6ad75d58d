"""OpenID Connect: a person is sent to their identity provider and comes back with a code, for which it tells who they are.

Authorization code with PKCE, state and nonce (OpenID Connect Core 1.0, RFC 7636, RFC 9207); everything by discovery.
"""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import structlog
from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, InvalidKeyCurveError, JoseError, KeyParameterError
from joserfc.jwk import JWKRegistry, Key

from core.errors import Unauthenticated, Unavailable
from core.keys import new_token
from core.settings import OIDCProvider
from core.transport.plaintext import is_here
from core.transport.trust import outward_context

log = structlog.get_logger(stream="security")

#: Signatures by a pair of keys. A provider that would share a secret to sign with is not believed.
_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}
_KINDS_OF_KEY = {"RSA", "EC"}
#: A key that does not fit: its signature, its kind, what it is for, or its curve.
_OTHER_KEY = (BadSignatureError, KeyParameterError, InvalidKeyCurveError)
_DISCOVERY = "/.well-known/openid-configuration"
_KNOWN_FOR_S, _KEYS_AGAIN_S, _TIMEOUT_S = 3600.0, 30.0, 10.0
#: Seconds that a provider is left alone which could not be discovered.
_REST_S = 3.0
_LEEWAY_S = 60
_MAX_BYTES = 2**20
_MAX_SUBJECT = 255


@dataclass(frozen=True, slots=True)
class Flow:
    """What a browser keeps, sealed, while its person is at the identity provider."""

    state: str
    nonce: str
    verifier: str
    target: str
    expires_at: float

    @classmethod
    def begin(cls, target: str, lifetime_s: float) -> "Flow":
        return cls(new_token(), new_token(), new_token(), target, time.time() + lifetime_s)

    @classmethod
    def read(cls, text: str | None) -> "Flow | None":
        """What `text` gave, unless its time is over."""
        flow = cls(**json.loads(text)) if text else None
        return flow if flow is not None and flow.expires_at > time.time() else None

    def text(self) -> str:
        return json.dumps(asdict(self))


class IdentityProvider:
    """One provider. What it publishes is asked for when it is needed first, and again after an hour."""

    def __init__(self, settings: OIDCProvider) -> None:
        self.settings = settings
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, list[Key]] | None = None
        self._away_until = float("-inf")
        self._discovering, self._loading = asyncio.Lock(), asyncio.Lock()

    async def address(self, flow: Flow, redirect_uri: str) -> str:
        """Where the browser is sent.

        Raises:
            Unavailable: `identity_provider_unavailable`.
        """
        endpoint = self._endpoint(await self._discovered(), "authorization_endpoint")
        digest = hashlib.sha256(flow.verifier.encode()).digest()
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self.settings.client_id,
                "redirect_uri": redirect_uri,
                "scope": " ".join(self.settings.scopes),
                "state": flow.state,
                "nonce": flow.nonce,
                "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
                "code_challenge_method": "S256",
            }
        )
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{query}"

    async def claims(self, code: str, flow: Flow, redirect_uri: str, issuer: str | None) -> dict[str, Any]:
        """What the provider says of the person who came back with `code`; `issuer` is the answer's own parameter `iss`.

        Raises:
            Unauthenticated: `sign_in_failed`: the code or what came for it is not good.
            Unavailable: `identity_provider_unavailable`.
        """
        metadata = await self._discovered()
        if issuer != metadata["issuer"] and (
            issuer is not None or metadata.get("authorization_response_iss_parameter_supported")
        ):
            raise self._failed("issuer of the answer")
        given = await self._exchange(metadata, code, flow, redirect_uri)
        claims = await self._verified(metadata, given.get("id_token"), flow.nonce)
        if {"email", self.settings.groups_claim.partition(".")[0]} <= claims.keys() or "userinfo_endpoint" not in metadata:
            return claims
        headers = {"authorization": f"Bearer {given.get('access_token')}"}
        more = await self._call("GET", self._endpoint(metadata, "userinfo_endpoint"), headers=headers)
        if more.get("sub") != claims["sub"]:
            raise self._failed("subject of userinfo")
        return more | claims

    async def _exchange(self, metadata: Mapping[str, Any], code: str, flow: Flow, redirect_uri: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": flow.verifier,
        }
        headers = {}
        secret = self.settings.client_secret
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if secret is None or "client_secret_basic" not in methods:
            form["client_id"] = self.settings.client_id
            if secret is not None:
                form["client_secret"] = secret.get_secret_value()
        else:
            pair = f"{quote(self.settings.client_id, safe='')}:{quote(secret.get_secret_value(), safe='')}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        return await self._call("POST", self._endpoint(metadata, "token_endpoint"), data=form, headers=headers)

    async def _verified(self, metadata: Mapping[str, Any], token: object, nonce: str) -> dict[str, Any]:
        """The claims of an ID token that is this provider's, for this client and this sign-in."""
        if not isinstance(token, str):
            raise self._failed("no ID token")
        published = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        allowed = sorted(_ALGORITHMS & set(published))
        registry = jws.JWSRegistry(algorithms=allowed, strict_check_header=False)
        try:
            header = jws.extract_compact(token.encode()).headers()
            if header.get("alg") not in allowed:  # an empty list would allow what joserfc recommends
                raise self._failed("algorithm")
            kid = header.get("kid")
            try:
                claims = jwt.decode(token, await self._key(metadata, kid), registry=registry).claims
            except _OTHER_KEY:  # the provider may have another one under the same identifier
                key = await self._key(metadata, kid, oldest_s=_KEYS_AGAIN_S)
                claims = jwt.decode(token, key, registry=registry).claims
        except (JoseError, ValueError, TypeError, AttributeError) as error:
            raise self._failed(type(error).__name__) from None
        now, audience = time.time(), claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        subject, expires, issued = claims.get("sub"), claims.get("exp"), claims.get("iat")
        checks = {
            "issuer": claims.get("iss") == metadata["issuer"],
            "audience": self.settings.client_id in audiences,
            "party": claims.get("azp", self.settings.client_id) == self.settings.client_id
            and (len(audiences) == 1 or "azp" in claims),
            "nonce": claims.get("nonce") == nonce,
            "subject": isinstance(subject, str)
            and 0 < len(subject) <= _MAX_SUBJECT
            and subject.isascii()
            and subject.isprintable(),
            "expiry": isinstance(expires, int | float) and now - _LEEWAY_S < expires,
            "time": isinstance(issued, int | float) and issued < now + _LEEWAY_S,
        }
        if wrong := [name for name, right in checks.items() if not right]:
            raise self._failed(", ".join(wrong))
        return claims

    async def _key(self, metadata: Mapping[str, Any], kid: object, *, oldest_s: float = _KNOWN_FOR_S) -> Key:
        """The key of that identifier, as the provider published it `oldest_s` ago at most; asked for again where it is not
        known, in case that the provider has a new one."""
        for oldest in (oldest_s, _KEYS_AGAIN_S):
            keys = await self._published(metadata, oldest)
            fitting = [key for key in keys if kid is None or key.kid == kid]
            if len(fitting) == 1:
                return fitting[0]
        raise self._failed("key")

    async def _published(self, metadata: Mapping[str, Any], oldest_s: float) -> list[Key]:
        """The provider's keys, asked for where they are older than that. Many who need them at once wait for one request."""
        async with self._loading:
            if self._keys is None or time.monotonic() - self._keys[0] > oldest_s:
                self._keys = (time.monotonic(), _usable(await self._call("GET", self._endpoint(metadata, "jwks_uri"))))
            return self._keys[1]

    async def _discovered(self) -> dict[str, Any]:
        """The discovery document. Visitors who need it at once wait for one request; who does not answer it is then left alone
        for a moment."""
        async with self._discovering:
            if self._metadata is None or time.monotonic() - self._metadata[0] > _KNOWN_FOR_S:
                if time.monotonic() < self._away_until:
                    raise self._away("just now")
                self._away_until = time.monotonic() + _REST_S  # for those who wait, unless what follows succeeds
                metadata = await self._call("GET", self.settings.issuer.rstrip("/") + _DISCOVERY)
                if str(metadata.get("issuer")).rstrip("/") != self.settings.issuer.rstrip("/"):
                    raise self._away("issuer of the discovery document")
                self._metadata, self._away_until = (time.monotonic(), metadata), float("-inf")
            return self._metadata[1]

    def _endpoint(self, metadata: Mapping[str, Any], name: str) -> str:
        """An address that the provider published, protected as its issuer's is."""
        address = metadata.get(name)
        issuer = urlsplit(self.settings.issuer)
        if not isinstance(address, str) or not (there := urlsplit(address)).hostname:
            raise self._away(name)
        as_the_issuer = there.scheme == issuer.scheme and (there.hostname == issuer.hostname or is_here(there.hostname))
        if there.scheme != "https" and not as_the_issuer:
            raise self._away(name)
        return address

    async def _call(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        """A JSON object. A refusal of the provider's is the sign-in's, any other failure the provider's own."""
        try:
            async with (
                httpx.AsyncClient(verify=outward_context(), timeout=_TIMEOUT_S, follow_redirects=False) as client,
                client.stream(method, url, **options) as answer,
            ):
                body = b""
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > _MAX_BYTES:
                        raise self._away("size")
                found = json.loads(body)
        except (httpx.HTTPError, ValueError, RecursionError) as error:
            raise self._away(type(error).__name__) from None
        if answer.is_client_error:
            raise self._failed(f"HTTP {answer.status_code}")
        if not answer.is_success or not isinstance(found, dict):
            raise self._away(f"HTTP {answer.status_code}")
        return found

    def _failed(self, what: str) -> Unauthenticated:
        log.warning("sign_in.oidc_failed", provider=self.settings.name, what=what)
        return Unauthenticated("The sign-in did not succeed. Start again.", code="sign_in_failed")

    def _away(self, what: str) -> Unavailable:
        log.warning("sign_in.oidc_unavailable", provider=self.settings.name, what=what)
        return Unavailable("The identity provider does not answer as it should.", code="identity_provider_unavailable")


def _usable(published: Mapping[str, Any]) -> list[Key]:
    """The keys that verify signatures; those of other kinds are passed over."""
    keys = []
    for each in published.get("keys") or ():
        if isinstance(each, dict) and each.get("kty") in _KINDS_OF_KEY and each.get("use", "sig") == "sig":
            try:
                keys.append(JWKRegistry.import_key(each))
            except (JoseError, ValueError, TypeError):
                log.warning("sign_in.key_unreadable", kid=str(each.get("kid"))[:64])
    return keys
