"""Data keys wrapped by AWS KMS: `Encrypt` and `Decrypt` with an encryption context
(docs.aws.amazon.com/kms/latest/APIReference)."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from core.cloud_services import ServiceFailed, aws_client
from core.encryption.envelope import not_opened
from core.encryption.sources import keys_unavailable, needed
from core.settings import Settings

_NOT_OURS = {"InvalidCiphertextException", "IncorrectKeyException"}


class AWSKMS:
    """`key_id` is an ARN, a key's id, or `alias/…`; ARNs carry their region. Credentials are AWS's usual ones."""

    def __init__(self, settings: Settings, key_id: str | None = None) -> None:
        given = key_id or settings.encryption.key_id
        self._key = needed(given, "key_id", "the source `aws_kms` needs the key's ARN, id or alias")
        self._address = settings.encryption.address

    @property
    def name(self) -> str:
        return f"aws_kms:{self._key}"

    def wrap(self, secret: bytes, context: Mapping[str, str]) -> bytes:
        wrapped: bytes = self._ask("encrypt", Plaintext=secret, EncryptionContext=dict(context))["CiphertextBlob"]
        return wrapped

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        secret: bytes = self._ask("decrypt", CiphertextBlob=wrapped, EncryptionContext=dict(context))["Plaintext"]
        return secret

    @cached_property
    def _client(self) -> Any:
        return aws_client("kms", arn=self._key, address=self._address)

    def _ask(self, operation: str, **arguments: Any) -> Mapping[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: Mapping[str, Any] = getattr(self._client, operation)(KeyId=self._key, **arguments)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            if code in _NOT_OURS:
                raise not_opened(code) from error
            raise keys_unavailable("aws_kms", code) from error
        except (BotoCoreError, ServiceFailed) as error:
            raise keys_unavailable("aws_kms", type(error).__name__) from error
        return answer
