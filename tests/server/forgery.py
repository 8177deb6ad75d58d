"""What an attacker makes of an access token, and of what may be known of one. Each of these must be refused."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from server.access.keys import ADMINISTRATOR_ID

ATTACKER = ECKey.generate_key("P-256")
_RSA = rsa.generate_private_key(65537, 2048)
ATTACKERS_RSA = RSAKey.import_key(_RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@dataclass
class Forge:
    """What an attacker may know: a good token with its parts, the public keys, another principal's token; and, for claims that
    only we could have signed, the key itself."""

    good: str
    header: dict[str, Any]
    claims: dict[str, Any]
    own: ECKey
    refresh: str
    others_claims: dict[str, Any]

    @property
    def signature(self) -> bytes:
        return base64.urlsafe_b64decode(self.good.rpartition(".")[2] + "==")

    @property
    def public(self) -> dict[str, Any]:
        return dict(self.own.as_dict(private=False))

    def sign(
        self,
        header: Mapping[str, Any] | None = None,
        claims: Mapping[str, Any] | None = None,
        key: Any = None,
        *,
        without: str = "",
    ) -> str:
        """The good token with some of it changed, signed anew."""
        body = {name: value for name, value in (self.claims | dict(claims or {})).items() if name != without}
        protected = self.header | dict(header or {})
        key = key or self.own
        algorithm = str(protected["alg"])
        registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        registry.check_header = lambda header: None  # type: ignore[method-assign] # an attacker's library checks nothing
        return jws.serialize_compact(protected, json.dumps(body), key, registry=registry)

    def by_hand(self, header: object, signature: bytes | Callable[[bytes], bytes] = b"", claims: object = None) -> str:
        """A token of parts that no library would write."""
        content = f"{_part(header)}.{_part(self.claims if claims is None else claims)}"
        made = signature(content.encode()) if callable(signature) else signature
        return f"{content}.{_encoded(made)}"


def _part(value: object) -> str:
    return _encoded(value if isinstance(value, bytes) else json.dumps(value).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=="))


def _hmac(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda content: hmac.new(secret, content, hashlib.sha256).digest()


NOW = int(time.time())
PEM = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

ATTACKS: dict[str, Callable[[Forge], str]] = {
    # no signature, or another algorithm's
    "none": lambda f: f.by_hand(f.header | {"alg": "none"}),
    "none in capitals": lambda f: f.by_hand(f.header | {"alg": "NoNe"}),
    "none with the good signature": lambda f: f.by_hand(f.header | {"alg": "none"}, f.signature),
    "no algorithm": lambda f: f.by_hand({"typ": "at+jwt", "kid": f.header["kid"]}),
    "no signature": lambda f: f.good.rpartition(".")[0] + ".",
    "HS256 by the public key in PEM": lambda f: f.by_hand(
        f.header | {"alg": "HS256"},
        _hmac(f.own.raw_value.public_key().public_bytes(*PEM)),  # type: ignore[union-attr]
    ),
    "HS256 by the public key in JSON": lambda f: f.by_hand(f.header | {"alg": "HS256"}, _hmac(json.dumps(f.public).encode())),
    "HS256 by nothing": lambda f: f.by_hand(f.header | {"alg": "HS256"}, _hmac(b"")),
    "RS256 by the attacker's key": lambda f: f.sign({"alg": "RS256"}, key=ATTACKERS_RSA),
    "ES256 by the attacker's key": lambda f: f.sign(key=ATTACKER),
    "ES384 over the good signature": lambda f: f.by_hand(f.header | {"alg": "ES384"}, f.signature),
    "EdDSA over the good signature": lambda f: f.by_hand(f.header | {"alg": "EdDSA"}, f.signature),
    "the algorithm in small letters": lambda f: f.by_hand(f.header | {"alg": "es256"}, f.signature),
    "a list of algorithms": lambda f: f.by_hand(f.header | {"alg": ["ES256", "none"]}, f.signature),
    "a signature of zeros": lambda f: f.by_hand(f.header, bytes(64)),
    "claims changed under the good signature": lambda f: ".".join(
        [f.good.split(".")[0], _part(f.claims | {"scope": "keys:manage"}), f.good.split(".")[2]]
    ),
    # keys of the attacker's choice
    "kid as a path": lambda f: f.sign({"kid": "../../../../dev/null"}, key=ATTACKER),
    "kid as SQL": lambda f: f.sign({"kid": "x' UNION SELECT 'secret' --"}, key=ATTACKER),
    "kid as a command": lambda f: f.sign({"kid": "|curl http://127.0.0.1"}, key=ATTACKER),
    "kid as a list": lambda f: f.by_hand(f.header | {"kid": [f.header["kid"]]}, bytes(64)),
    "kid as null": lambda f: f.by_hand(f.header | {"kid": None}, bytes(64)),
    "kid with NUL": lambda f: f.sign({"kid": f.header["kid"] + "\0"}, key=ATTACKER),
    "no kid": lambda f: f.by_hand({"alg": "ES256", "typ": "at+jwt"}, bytes(64)),
    "jwk of the attacker's": lambda f: f.sign({"jwk": ATTACKER.as_dict(private=False)}, key=ATTACKER),
    "jku of the attacker's": lambda f: f.sign({"jku": "http://127.0.0.1:9/jwks.json"}, key=ATTACKER),
    "x5u of the attacker's": lambda f: f.sign({"x5u": "http://127.0.0.1:9/key.pem"}, key=ATTACKER),
    "x5c of the attacker's": lambda f: f.sign({"x5c": ["MIIB"]}, key=ATTACKER),
    # even well signed, these are not what we issue
    "jwk beside a good signature": lambda f: f.sign({"jwk": f.public}),
    "jku beside a good signature": lambda f: f.sign({"jku": "http://127.0.0.1:9/jwks.json"}),
    "x5u beside a good signature": lambda f: f.sign({"x5u": "http://127.0.0.1:9/key.pem"}),
    "crit": lambda f: f.sign({"crit": ["exp"], "exp": NOW}),
    "crit that is empty": lambda f: f.sign({"crit": []}),
    "b64": lambda f: f.by_hand(f.header | {"b64": False, "crit": ["b64"]}, bytes(64)),
    "zip": lambda f: f.sign({"zip": "DEF"}),
    "an ID token": lambda f: f.sign({"typ": "JWT"}, {"aud": "client", "nonce": "n"}),
    "typ of an ID token": lambda f: f.sign({"typ": "JWT"}),
    "no typ": lambda f: f.by_hand({"alg": "ES256", "kid": f.header["kid"]}, bytes(64)),
    # times
    "expired": lambda f: f.sign(claims={"iat": NOW - 900, "nbf": NOW - 900, "exp": NOW - 300}),
    "not yet valid": lambda f: f.sign(claims={"nbf": int(time.time()) + 300}),
    "issued in the future": lambda f: f.sign(claims={"iat": int(time.time()) + 300}),
    "good for ever": lambda f: f.sign(claims={"exp": NOW + 10**9}),
    "without an end": lambda f: f.sign(without="exp"),
    "an end that is text": lambda f: f.sign(claims={"exp": str(int(time.time()) + 300)}),
    "an end that is true": lambda f: f.sign(claims={"exp": True}),
    "an end beyond numbers": lambda f: f.by_hand(f.header, bytes(64), b'{"exp": 1e999}'),
    # whose, and for whom
    "another audience": lambda f: f.sign(claims={"aud": "another-service"}),
    "a list of audiences": lambda f: f.sign(claims={"aud": ["genai", "another-service"]}),
    "no audience": lambda f: f.sign(without="aud"),
    "another issuer": lambda f: f.sign(claims={"iss": "https://evil.example"}),
    "no issuer": lambda f: f.sign(without="iss"),
    "another tenant's claim": lambda f: f.sign(claims={"tenant": "acme"}),
    "another's subject": lambda f: f.sign(claims={"sub": f.others_claims["sub"]}),
    "another's family": lambda f: f.sign(claims={"sid": f.others_claims["sid"]}),
    "no family": lambda f: f.sign(without="sid"),
    "a family that is not there": lambda f: f.sign(claims={"sid": "fam_x"}),
    "a subject that is a list": lambda f: f.sign(claims={"sub": [ADMINISTRATOR_ID]}),
    "a scope that is a list": lambda f: f.sign(claims={"scope": ["keys:manage"]}),
    # what is no access token
    "a refresh token": lambda f: f.refresh,
    "a refresh token dressed up": lambda f: f"ey.{f.refresh}.x",
    "oversized": lambda f: f.sign(claims={"padding": "x" * 8000}),
    "garbage": lambda f: "ey.ey.ey",
    "empty parts": lambda f: "ey..",
    "four parts": lambda f: f.good + ".x",
    "five parts": lambda f: f"{f.good}.x.y",
    "padding in the signature": lambda f: f.good[:-1] + "=",
    "a header that is a list": lambda f: f.by_hand(["alg"]),
    "a header nested deep": lambda f: f.by_hand(b'{"alg":' + b"[" * 200 + b"]" * 200 + b"}"),
    "claims that are a list": lambda f: f.by_hand(f.header, bytes(64), []),
    "claims that are no JSON": lambda f: f.by_hand(f.header, bytes(64), b"\xff\xfe"),
    "the same name twice": lambda f: f.by_hand(
        b'{"alg":"ES256","alg":"none","typ":"at+jwt","kid":"' + f.header["kid"].encode() + b'"}'
    ),
}
