"""Certificates for the broker and the workers of a chaos run, and the TLS settings of both."""

from __future__ import annotations

from pathlib import Path

from tests.integration.certificates import Authority


def worker_security(folder: Path, host: str) -> dict[str, str]:
    """Write certificates of broker and workers into `folder`; return the settings of a worker that uses these certificates."""
    authority = Authority()
    authority.write_signed(folder / "broker.pem", "broker", hosts=[host])
    client_file = authority.write_signed(folder / "client.pem", "worker")
    return {
        "WORDCOUNT_SECURITY_PROTOCOL": "SSL",
        "WORDCOUNT_SSL_CA_FILE": str(authority.write_certificate(folder / "ca.pem")),
        "WORDCOUNT_SSL_CERT_FILE": str(client_file),
    }


def broker_security(folder: Path) -> dict[str, str]:
    """Return the settings of a broker that uses the certificates in `folder` and refuses clients without a certificate."""
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "ssl.client.auth": "required",
    }
