"""Certificates for a broker and its workers, and the settings of both."""

from __future__ import annotations

from pathlib import Path

from tests.integration.certificates import Authority


def worker_security(folder: Path, host: str) -> dict[str, str]:
    """Write certificates of broker and workers into `folder`; settings of a worker that uses them."""
    authority = Authority()
    authority.write_signed(folder / "broker.pem", "broker", hosts=[host])
    client_file = authority.write_signed(folder / "client.pem", "worker")
    return {
        "WORDCOUNT_SECURITY_PROTOCOL": "SSL",
        "WORDCOUNT_SSL_CA_FILE": str(authority.write_certificate(folder / "ca.pem")),
        "WORDCOUNT_SSL_CERT_FILE": str(client_file),
    }


def broker_security(folder: Path) -> dict[str, str]:
    """Settings of a broker that uses them and lets nobody in without one."""
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "ssl.client.auth": "required",
    }
