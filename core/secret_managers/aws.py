"""AWS Secrets Manager: `aws:NAME-OR-ARN[#field]` (docs.aws.amazon.com/secretsmanager, GetSecretValue)."""

from core.cloud_services import aws_client
from core.secret_managers.references import SecretMissing


def from_secrets_manager(identifier: str) -> str:
    """The text of the secret's current version. Credentials and region are AWS's usual ones; an ARN carries its region."""
    from botocore.exceptions import BotoCoreError, ClientError

    client = aws_client("secretsmanager", arn=identifier)
    try:
        answer = client.get_secret_value(SecretId=identifier)
    except ClientError as error:
        raise SecretMissing(f"Secrets Manager answers {error.response.get('Error', {}).get('Code')}") from error
    except BotoCoreError as error:
        raise SecretMissing(f"Secrets Manager does not answer ({type(error).__name__})") from error
    if not isinstance(answer.get("SecretString"), str):
        raise SecretMissing("the secret is no text")
    return str(answer["SecretString"])
