"""What a task of ECS does before the platform starts: open its volumes, fetch the authorities of RDS, make a certificate.

Volumes of Fargate are root's, and the platform is not. The load balancer speaks TLS to the task and does not ask whose
certificate it is, so the task makes one for itself.
"""

import os
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FOLDER = Path("/certificates")
REGION = os.environ["AWS_REGION"]
BUNDLE = f"https://truststore.pki.rds.amazonaws.com/{REGION}/{REGION}-bundle.pem"

for volume in ("/data", "/tmp"):  # noqa: S108 - the task's own
    os.chmod(volume, 0o1777)  # noqa: S103 - nobody else is there

with urllib.request.urlopen(BUNDLE, timeout=30) as answer:
    (FOLDER / "authorities.pem").write_bytes(answer.read())

key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "genai.internal")])
now = datetime.now(UTC)
certificate = (
    x509.CertificateBuilder()
    .subject_name(name)
    .issuer_name(name)
    .public_key(key.public_key())
    .serial_number(x509.random_serial_number())
    .not_valid_before(now - timedelta(hours=1))
    .not_valid_after(now + timedelta(days=397))
    .add_extension(x509.SubjectAlternativeName([x509.DNSName("genai.internal")]), critical=False)
    .sign(key, hashes.SHA256())
)
(FOLDER / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
(FOLDER / "tls.key").write_bytes(pem)
